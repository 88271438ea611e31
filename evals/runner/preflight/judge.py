"""Whether a judge can be used: its verdicts on cases whose verdict is known, through its rubric and its reader.

Two cases show that it can tell the sides apart at all, not how good it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from evals.endpoints.chat import PROBE_TIME_S
from evals.endpoints.judge_endpoint import JudgeEndpoint, ask_judge
from evals.errors import BadInput, RunStopped
from evals.runner.preflight.endpoint import Check
from evals.runner.preflight.judge_cases import CASES
from evals.scoring.verdict_words import verdict_words
from evals.trials.record import JudgeFailure, RecordedVerdict
from judges.entry import LabelledCase
from judges.verdicts import Verdict

_ABOUT_THE_REQUEST = frozenset({"rejected", "denied"})


async def check_judges(judges: Sequence[JudgeEndpoint]) -> list[Check]:
    """Ask each judge about its labelled cases, all at the same time.

    Raises BadInput for one that is right on none: what it says is no measurement. One that is right on some is "noted",
    one that could not be reached "not checked".
    """
    return list(await asyncio.gather(*(_check(judge) for judge in judges)))


class _Ruled(NamedTuple):
    case: LabelledCase
    verdict: Verdict | JudgeFailure

    @property
    def is_missing(self) -> bool:
        """Whether the server, not the judge, is why there is no verdict. A request turned down for its text is a
        judge that cannot judge such texts."""
        return isinstance(self.verdict, JudgeFailure) and self.verdict.kind not in _ABOUT_THE_REQUEST

    @property
    def is_right(self) -> bool:
        return not isinstance(self.verdict, JudgeFailure) and self.case.is_right(self.verdict)


async def _check(judge: JudgeEndpoint) -> Check:
    name = f"labelled cases ({judge.judge.name})"
    cases = CASES.get(judge.judge.name, ())
    if not cases:  # what is right is known to the author of the question file alone
        return Check(name, "ok", "none for this judge")
    try:
        async with asyncio.timeout(PROBE_TIME_S):
            rulings = await asyncio.gather(*(_ask(judge, case) for case in cases))
    except TimeoutError:
        return Check(name, "not checked", f"no verdicts within {PROBE_TIME_S:g} s")
    except RunStopped as error:
        raise BadInput(str(error)) from None
    ruled = [_Ruled(case, ruling.verdict) for case, ruling in zip(cases, rulings, strict=True)]
    wrong = [ruling for ruling in ruled if not ruling.is_right]
    if not wrong:
        return Check(name, "ok", f"right on {len(ruled)} of {len(ruled)}")
    missing = next((ruling for ruling in ruled if ruling.is_missing), None)
    if missing is not None:
        return Check(name, "not checked", _said(missing))
    found = "; ".join(map(_said, wrong))
    if len(wrong) < len(ruled):
        return Check(name, "noted", f"wrong on {len(wrong)} of {len(ruled)}: {found}")
    raise BadInput(
        f"judge {judge.endpoint.name} ({judge.judge.name}) is right on none of {len(ruled)} labelled cases: {found}; "
        "choose another judge, or see its rubric and --judge-max-tokens"
    )


async def _ask(judge: JudgeEndpoint, case: LabelledCase) -> RecordedVerdict:
    return await ask_judge(judge, judge.judge.rubric.fill(case.judge_input), case.label)


def _said(ruled: _Ruled) -> str:
    return f"{ruled.case.label} is {verdict_words(ruled.verdict, in_sentence=True)}"
