"""What the journal asks its tables in SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evals.trials.storage.schema import ASKED


def _text(number: str) -> str:
    return f"(SELECT text FROM texts WHERE id = {number})"  # noqa: S608


_UNTOLD = "prompt_tokens IS NULL OR completion_tokens IS NULL"
_IS_REPLY = "ending IN (SELECT id FROM endings WHERE failure IS NULL)"

CACHED = "cached"
"""The detail of a verdict from the answer cache; verdicts that can be read have none otherwise. An answer from there
took no attempt."""
FAILED = f"SELECT COUNT(*) FROM draws WHERE NOT {_IS_REPLY}"  # noqa: S608
FAILED_MANNERS = f"SELECT id FROM manners WHERE {_text('kind')} = 'failed'"  # noqa: S608
SCORES = "SELECT score, COUNT(*) FROM rulings WHERE judge = ? AND score IS NOT NULL GROUP BY score"
JUDGED = "SELECT COUNT(*) FROM rulings WHERE judge = ?"
REPLIES = f"""
SELECT {_text("model")}, COUNT(*), SUM({_UNTOLD}), TOTAL(prompt_tokens), TOTAL(completion_tokens)
FROM draws d JOIN asked a ON a.id = d.asked WHERE attempts > 0 AND {_IS_REPLY} GROUP BY model
"""  # noqa: S608
"""By model: replies that it was asked for, those without token counts, and the tokens of the others."""
CACHED_REPLIES = f"""
SELECT (SELECT COUNT(*) FROM draws WHERE attempts = 0 AND {_IS_REPLY}), TOTAL(detail IS '{CACHED}'), COUNT(*)
FROM rulings WHERE manner IN (SELECT id FROM manners WHERE {_text("judge_model")} <> '' AND {_text("kind")} <> 'failed')
"""  # noqa: S608
# Of a failure there are tokens where a first reply could not be read and the second never came. Only requests whose
# beginnings occur more than once can be the same, and have to be grouped. Sorting is faster than the index here.
JUDGE_REPLIES = f"""
WITH counted AS MATERIALIZED (
    SELECT id, {_text("judge_model")} AS model, {_text("kind")} = 'failed' AS failed FROM manners
    WHERE {_text("judge_model")} <> ''
), repeated AS MATERIALIZED (
    SELECT substr(request, 1, 4) AS start FROM rulings NOT INDEXED GROUP BY 1 HAVING COUNT(*) > 1
), once AS (
    SELECT manner, COUNT(*) AS replies, SUM({_UNTOLD}) AS untold, TOTAL(prompt_tokens) AS prompt_tokens,
        TOTAL(completion_tokens) AS completion_tokens
    FROM rulings r
    WHERE substr(request, 1, 4) NOT IN repeated AND detail IS NOT '{CACHED}'
        AND (manner IN (SELECT id FROM counted WHERE NOT failed)
            OR prompt_tokens IS NOT NULL AND manner IN (SELECT id FROM counted))
    GROUP BY manner
), grouped AS (
    SELECT model, SUM(prompt_tokens) AS prompt_tokens, SUM(completion_tokens) AS completion_tokens
    FROM rulings r JOIN counted c ON c.id = r.manner
    WHERE substr(request, 1, 4) IN repeated AND detail IS NOT '{CACHED}' AND (NOT failed OR prompt_tokens IS NOT NULL)
    GROUP BY r.judge, r.request
)
SELECT model, SUM(replies), SUM(untold), TOTAL(prompt_tokens), TOTAL(completion_tokens) FROM (
    SELECT model, replies, untold, prompt_tokens, completion_tokens
    FROM once o JOIN counted c ON c.id = o.manner
    UNION ALL
    SELECT model, COUNT(*), SUM({_UNTOLD}), TOTAL(prompt_tokens), TOTAL(completion_tokens) FROM grouped GROUP BY model
) GROUP BY model
"""  # noqa: S608
"""The same of judges, a reply that stands for several answers once."""
REPORTED = f"""
SELECT {_text("a.model")} AS model, {_text("e.reported_model")} AS reported, COUNT(*)
FROM draws d JOIN asked a ON a.id = d.asked JOIN endings e ON e.id = d.ending
WHERE reported <> '' GROUP BY a.model, e.reported_model
"""  # noqa: S608
_NAMED = f"{_text('m.answered_as')} <> ''"
OTHER_JUDGES = f"""
SELECT {_text("judge_model")}, {_text("answered_as")}, SUM(replies) FROM (
    SELECT m.judge_model, m.answered_as, COUNT(*) AS replies FROM rulings r JOIN manners m ON m.id = r.manner
    WHERE {_NAMED} GROUP BY r.manner
    UNION ALL SELECT judge_model, answered_as, 1 FROM other_replies o WHERE NOT EXISTS (
        SELECT 1 FROM rulings r JOIN manners m ON m.id = r.manner
        WHERE substr(r.request, 1, 4) = substr(o.request, 1, 4) AND r.request = o.request AND r.judge = o.judge
        AND {_NAMED}
    )
) GROUP BY judge_model, answered_as
"""  # noqa: S608
REPEATABLE = f"substr(request, 1, 4) = ? AND judge = ? AND request = ? AND manner NOT IN ({FAILED_MANNERS})"
"""Of verdicts: the first characters of the request, the judge and the request; failures are not repeated."""
EVERY = 1 << 32


def in_plan_order(columns: str) -> str:
    """Columns of the trials in the order of the plan. The parameter is how many in EVERY are wanted: the golden ratio
    spreads them evenly over the plan."""
    return (
        f"SELECT {columns} FROM draws d LEFT JOIN asked a ON a.id = d.asked "  # noqa: S608
        f"WHERE (position * 2654435761) & {EVERY - 1} < ? ORDER BY position, {_text('a.model')}, arrival"
    )


IN_PLAN_ORDER = in_plan_order("arrival")
_SAYS = """
CASE typeof(answer) WHEN 'null' THEN raw <> ''
    WHEN 'integer' THEN (CASE WHEN answer < 0 THEN ~answer ELSE answer END) & 16777215 <> 0 ELSE answer <> '' END
"""
OUTLINES_IN_PLAN_ORDER = in_plan_order(f"arrival, d.asked, ending, {_SAYS}, refusal <> ''")
"""Whether there is an answer and a refusal is told without inflating a text: one that is deflated is not empty."""
_NAME = "CASE typeof(trial_id) WHEN 'blob' THEN lower(hex(trial_id)) ELSE trial_id END"
IDS = f"SELECT {_NAME} AS name FROM draws WHERE substr(name, 1, ?) = ? ORDER BY name LIMIT ?"  # noqa: S608


DRAWN = f"""
SELECT {_text("suite")}, {_text("format")}, {_text("prompt_id")}, {_text("variant")}, {_text("condition")}, SUM(draws)
FROM (SELECT asked, COUNT(*) AS draws FROM draws GROUP BY asked) JOIN asked a ON a.id = asked
WHERE model = ? GROUP BY suite, format, prompt_id, variant, condition
"""  # noqa: S608
REPEATS = """
SELECT repeat FROM draws WHERE asked IN (
    SELECT id FROM asked
    WHERE model = ? AND suite = ? AND format = ? AND prompt_id = ? AND variant = ? AND condition = ?
)
"""


def with_values(columns: Sequence[str]) -> str:
    """The arrivals of the trials whose columns have the values given, as the numbers of texts."""
    unknown = set(columns) - set(ASKED)
    if unknown:
        raise KeyError(*unknown)
    same = " AND ".join(f"{column} = ?" for column in columns) or "TRUE"
    return f"SELECT arrival FROM draws WHERE asked IN (SELECT id FROM asked WHERE {same}) ORDER BY arrival"  # noqa: S608


def lacking(
    answer_judges: Mapping[int, Sequence[int]],
    reasoning_judges: Sequence[int],
    monitors: Sequence[int],
    *,
    failed_too: bool,
) -> str:
    """The arrivals of responses that lack a verdict, in their order. The parameters are the number of the format `mcq`,
    each measure with its judges after it, the judges of reasoning, and the monitors of any reply."""
    settled = f"AND manner NOT IN ({FAILED_MANNERS})" if failed_too else ""
    # The + takes the affinity from the arrival, with which the key of the verdicts would not be used.
    has = f"EXISTS (SELECT 1 FROM rulings WHERE trial = +d.arrival AND judge = ? {settled})"  # noqa: S608

    def lacks(judges: Sequence[int]) -> str:
        return " OR ".join([f"NOT {has}"] * len(judges)) or "FALSE"

    answers = " OR ".join(f"a.measure = ? AND ({lacks(judges)})" for judges in answer_judges.values()) or "FALSE"
    has_reasoning = "CASE WHEN reasoning IS NULL THEN raw_reasoning <> '' ELSE reasoning <> 0 END"
    return (
        "SELECT arrival FROM draws d CROSS JOIN asked a ON a.id = d.asked "  # noqa: S608
        f"WHERE {_IS_REPLY} AND (a.format <> ? AND ({answers}) OR {has_reasoning} AND ({lacks(reasoning_judges)}) "
        f"OR {lacks(monitors)}) "
        "ORDER BY d.arrival"
    )
