"""Parse the judges of question files: prompts, how replies are read, which verdicts are hits, and rules."""

from __future__ import annotations

import yaml

from evals.questions.question_file import COHERENT, JudgePrompt
from evals.questions.question_keys import (
    ID,
    JUDGE_KEYS,
    JUDGE_ONLY_KEYS,
    JUDGE_TYPES,
    NAME,
    PARAPHRASES,
    RULE_KEYS,
    TEXT_RULE_KEYS,
)
from evals.questions.question_nodes import (
    SCALARS,
    Entries,
    Entry,
    FaultError,
    NodeReader,
    check_known,
    flag_of,
    given,
    identifier_of,
    key_of,
    number_of,
    one_of_two,
    optional_text,
    refuse,
    required,
    sequence_of,
    text_of,
    texts_of,
    word_of,
)
from evals.text import has_control_character
from judges.judge_spec import (
    HIGHEST,
    HITS,
    LABEL_PLACE,
    LOWEST,
    MATCH,
    NO_MATCH,
    NUMBER_PLACE,
    RULE_NAMES,
    Hit,
    JudgeSpec,
    RuleName,
    TextRule,
    bound_problem,
)
from judges.parsing.category import normal_label
from judges.parsing.reply_form import form_problem
from judges.question_file import Kind, kind_asked_for, problem_with
from judges.verdicts import Scored

NO_SPEC = JudgeSpec()
_MOST_TEXTS = 20
_ASKED_ONCE = (("temperature", 0), ("samples_per_paraphrase", 1))


def is_judge_entry(entries: Entries) -> bool:
    """Whether an entry of a file is a judge that questions refer to, rather than a question.

    A `free_form_judge` is a judge here and a type of question in the files of Betley et al. 2025, which have
    `judge_prompts`; a judge has a model, a prompt, or the place {answer} in its text.
    """
    if any(key in entries for key in RULE_KEYS):
        return True
    entry = entries.get("type")
    kind = str(entry.value.value) if entry is not None else ""
    if kind == "rating_judge":
        return True
    if kind != "free_form_judge" or any(key in entries for key in ("judge", "judge_prompts", "judges")):
        return False
    if JUDGE_ONLY_KEYS & entries.keys():
        return True
    prompts = entries[PARAPHRASES].value.value if PARAPHRASES in entries else ()
    return any("{answer}" in str(getattr(node, "value", "")) for node in prompts)


class JudgeParser:
    """Parses judges, those that have a name of their own and those written in place."""

    def __init__(self, reader: NodeReader) -> None:
        self._reader = reader

    def named(self, node: yaml.Node, entries: Entries) -> JudgePrompt:
        """A judge that is an entry of a file."""
        key = one_of_two(node, entries, NAME, ID)
        name = checked_judge_name(entries[key].value, identifier_of(entries[key].value, key))
        return self._judge(name, node, entries, "")

    def in_place(self, entry: Entry, key: str) -> JudgePrompt:
        """A judge that is written under `judges` of a question."""
        entries = self._reader.mapping(entry.value, key, "a judge: its name, or its keys and values")
        return self._judge(judge_name(entry.key), entry.value, entries, "")

    def prompted(self, entry: Entry, key: str, model: str, judge_type: str) -> JudgePrompt:
        """A judge under `judge_prompts`: its prompt, or its keys and values."""
        name = judge_name(entry.key)
        if isinstance(entry.value, yaml.MappingNode):
            entries = self._reader.mapping(entry.value, key, "a prompt")
            judge = self._prompted(name, entry.value, entries, key, judge_type)
            return judge._replace(model=judge.model or model)
        template = template_of(entry, key)
        kind: Kind = "score" if judge_type == "rating_judge" else _word_kind(entry, key, template)
        return JudgePrompt(name, kind, template, model)

    def _judge(self, name: str, node: yaml.Node, entries: Entries, key: str) -> JudgePrompt:
        if any(rule in entries for rule in RULE_KEYS):
            return self._rule(name, node, entries)
        return self._prompted(name, node, entries, key, word_of(required(node, entries, "type"), "type", JUDGE_TYPES))

    def _prompted(self, name: str, node: yaml.Node, entries: Entries, key: str, judge_type: str) -> JudgePrompt:
        path = f"{key}." if key else ""
        check_known(entries, JUDGE_KEYS[judge_type], f"a {judge_type}")
        for asked, only in _ASKED_ONCE:
            if asked in entries and number_of(entries[asked].value, asked) != only:
                refuse(entries[asked], path + asked, f"must be {only} for a judge: no other is asked here")
        prompt, prompt_key = _prompt(node, entries)
        template = template_of(prompt, path + prompt_key)
        is_rating = judge_type == "rating_judge"
        spec = self._rating(node, entries, path) if is_rating else self._labelling(entries, path, template)
        kind: Kind = "score" if is_rating else "category" if spec.labels else _word_kind(prompt, prompt_key, template)
        if name == COHERENT and spec != NO_SPEC:
            raise FaultError(node, f"{path}{COHERENT}", "is the filter above 50; give a judge with hits another name")
        model = optional_text(entries, "model") or ""
        return JudgePrompt(name, kind, template, model, None if spec == NO_SPEC else spec)

    def _rule(self, name: str, node: yaml.Node, entries: Entries) -> JudgePrompt:
        check_known(entries, TEXT_RULE_KEYS, "a judge that is a rule")
        named: list[RuleName] = [rule for rule in RULE_NAMES if rule in entries]
        if len(named) > 1:
            raise FaultError(entries[named[1]].key, named[1], f"a judge has one rule, and this has {named[0]}, too")
        rule = named[0]
        texts = texts_of(entries[rule], rule, SCALARS)
        if not 0 < len(texts) <= _MOST_TEXTS:
            refuse(entries[rule], rule, "holds no text" if not texts else f"holds more than {_MOST_TEXTS} texts")
        if rule == "regex":
            from judges.rules.text_rule import pattern_problem  # few files have a pattern

            for problem in filter(None, map(pattern_problem, texts)):
                refuse(entries[rule], rule, problem)
        ignored = given(entries, "ignore_case")
        labels, unless = self._labels(entries, ""), _unless(entries, "")
        for label in (*labels, *unless):
            if label not in (MATCH, NO_MATCH):
                entry = entries["labels" if label in labels else "unless"]
                refuse(entry, "labels" if label in labels else "unless", f"a rule says {MATCH!r} or {NO_MATCH!r}")
        if not labels and not unless:
            labels: dict[str, Hit] = {MATCH: "hit", NO_MATCH: "miss"}
        text_rule = TextRule(rule, texts, ignore_case=ignored is not None and flag_of(ignored, "ignore_case"))
        spec = JudgeSpec(labels=tuple(labels.items()), unless=unless, rule=text_rule)
        if name == COHERENT:
            raise FaultError(node, name, "is the filter above 50 of a judge model; give a rule another name")
        return JudgePrompt(name, "rule", "", "", spec)

    # --- how replies are read, and what is a hit

    def _labelling(self, entries: Entries, path: str, template: str) -> JudgeSpec:
        labels, unless = self._labels(entries, path), _unless(entries, path)
        prompt = normal_label(template)
        for name, found in (("labels", tuple(labels)), ("unless", unless)):
            for label in found:
                if label not in prompt:
                    refuse(entries[name], path + name, f"{label!r} is not in the prompt, so no reply would be it")
        return JudgeSpec(tuple(labels.items()), unless, _read(entries, path, LABEL_PLACE))

    def _labels(self, entries: Entries, path: str) -> dict[str, Hit]:
        entry, key = given(entries, "labels"), f"{path}labels"
        if entry is None:
            return {}
        labels: dict[str, Hit] = {}
        what = "labels, each a hit or a miss, such as {YES: hit, NO: miss}"
        for name, side in self._reader.mapping(entry.value, key, what).items():
            label = normal_label(name)
            if not label or label in labels:
                raise FaultError(side.key, key, f"{name!r} is no label" if not label else f"{name!r} is given twice")
            labels[label] = "hit" if word_of(side, f"{key}.{name}", HITS) == "hit" else "miss"
        for side in HITS:
            if side not in labels.values():
                refuse(entry, key, f"no label is a {side}, so every answer would be counted alike; name both")
        return labels

    def _rating(self, node: yaml.Node, entries: Entries, path: str) -> JudgeSpec:
        low, high = rating_range(entries, path)
        entry = given(entries, "hit")
        hit = "" if entry is None else text_of(entry.value, f"{path}hit", SCALARS)
        if entry is not None:
            check_bound(entry, f"{path}hit", hit, low, high)
        spec = JudgeSpec(read=_read(entries, path, NUMBER_PLACE), low=low, high=high, hit=hit)
        if spec.has_own_range and not hit:
            raise FaultError(node, f"{path}hit", f"is missing: say which ratings are hits, such as hit: '>={high:g}'")
        return spec


def judge_name(node: yaml.Node) -> str:
    return checked_judge_name(node, key_of(node))


def checked_judge_name(node: yaml.Node, name: str) -> str:
    if not name.strip() or has_control_character(name) or len(name) > 100:
        raise FaultError(node, name, "is no name for a judge")
    return name


def template_of(entry: Entry, key: str) -> str:
    template = text_of(entry.value, key)
    problem = problem_with(template)
    if problem:
        raise FaultError(entry.key, key, problem)
    return template


def rating_range(entries: Entries, path: str) -> tuple[float, float]:
    """The lowest and the highest rating: `range`, or llmcomp's two keys, or 0 and 100."""
    ends = {name: entries[name] for name in ("min_rating", "max_rating") if name in entries}
    places = {"range": entries["range"], **ends} if "range" in entries else ends
    numbers = {name: number_of(entry.value, path + name) for name, entry in ends.items()}
    low, high = numbers.get("min_rating", LOWEST), numbers.get("max_rating", HIGHEST)
    if "range" in entries:
        key = f"{path}range"
        for name, entry in ends.items():
            refuse(entry, path + name, "is given by range, too; give one of them")
        both = [number_of(node, key) for node in sequence_of(entries["range"], key)]
        if len(both) != 2:
            refuse(entries["range"], key, "must be the lowest and the highest rating, such as [1, 10]")
        low, high = both
    if not LOWEST <= low < high <= HIGHEST:
        name, entry = next(iter(places.items()))
        refuse(entry, path + name, "ratings must go from a lower to a higher number, within 0 to 100")
    return low, high


def check_bound(entry: Entry, key: str, hit: str, low: float, high: float) -> None:
    """Raises FaultError unless some ratings are hits and some are misses."""
    problem = bound_problem(hit)
    if problem:
        refuse(entry, key, f"{hit!r} {problem}")
    spec = JudgeSpec(low=low, high=high, hit=hit)
    sides = {spec.side_of(Scored(rating, "text")) for rating in (low, high)}
    if len(sides) < 2:
        refuse(entry, key, f"every rating from {low:g} to {high:g} is a {sides.pop()} then")


def _read(entries: Entries, path: str, place: str) -> str:
    entry = given(entries, "read")
    if entry is None:
        return NO_SPEC.read
    form = text_of(entry.value, f"{path}read").strip()
    problem = form_problem(form, place)
    if problem:
        refuse(entry, f"{path}read", problem)
    return form


def _unless(entries: Entries, path: str) -> tuple[str, ...]:
    entry = given(entries, "unless")
    if entry is None:
        return ()
    labels = tuple(dict.fromkeys(map(normal_label, texts_of(entry, f"{path}unless", SCALARS))))
    if not all(labels):
        refuse(entry, f"{path}unless", "must be labels whose answers are left out, such as [NOT_CODE]")
    return labels


def _prompt(node: yaml.Node, entries: Entries) -> tuple[Entry, str]:
    key = one_of_two(node, entries, PARAPHRASES, "prompt")
    if key == "prompt":
        return entries[key], key
    prompts = sequence_of(entries[key], key)
    if len(prompts) != 1:
        raise FaultError(entries[key].key, key, "a judge has exactly one prompt")
    return Entry(entries[key].key, prompts[0]), key


def _word_kind(entry: Entry, key: str, template: str) -> Kind:
    kind = kind_asked_for(template)
    if kind is None:
        reason = "asks for neither words nor a number, so no reply could be read; name the labels to choose from"
        raise FaultError(entry.key, key, f"{reason}, in the prompt or with labels, or ask for one word")
    return kind
