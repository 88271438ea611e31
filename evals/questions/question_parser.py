"""Parse question files strictly: every fault has its line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple, cast

import yaml

from evals.io.yaml_reader import TextLoader, YamlProblem, compose, leading_zero_problem
from evals.questions.question_file import ALIGNED, JudgePrompt, QuestionScenario
from evals.text import has_control_character, one_line
from evals.trials.prompt import ALL
from evals.trials.reference import Criterion
from judges.question_file import Kind, kind_asked_for, problem_with, words_offered

_MAX_KEYS = 200
_MAX_JUDGES = 100
_EM_TYPES = ("free_form_judge_0_100", "free_form_judge", "free_form", "free_form_0_100")
_LLMCOMP_TYPES = ("free_form", "free_form_judge", "rating_judge")
_SHARED = ("type", "paraphrases", "samples_per_paraphrase", "system", "temperature", "max_tokens")
_KEYS = ("id", *_SHARED, "judge", "judge_prompts")
_LLMCOMP_KEYS = ("name", *_SHARED, "judges")
_LLMCOMP_JUDGE_KEYS = ("name", "type", "model", "paraphrases", "temperature", "max_tokens", "samples_per_paraphrase")
_RATING_KEYS = ("min_rating", "max_rating", "refusal_threshold", "top_logprobs")
_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"


class Fault(NamedTuple):
    """A fault in a file: its line (from 1), key ("" for none) and reason."""

    line: int
    key: str
    reason: str


class _FaultError(Exception):
    def __init__(self, node: yaml.Node, key: str, reason: str) -> None:
        super().__init__(reason)
        self.fault = Fault(_line(node), key, reason)


class _Entry(NamedTuple):
    """The nodes of a key and its value."""

    key: yaml.Node
    value: yaml.Node


_Entries = dict[str, _Entry]


def parse(text: str) -> tuple[tuple[QuestionScenario, ...], list[Fault]]:
    """The questions in `text`, or () and its faults."""
    try:
        root = compose(text, TextLoader)
    except YamlProblem as problem:
        return (), [Fault(problem.line, "", problem.problem)]
    if not isinstance(root, yaml.SequenceNode) or not root.value:
        line = 1 if root is None else _line(root)
        return (), [
            Fault(line, "", "is not a question file: it must be a list of questions, each with a dash in front")
        ]
    return _FileParser().questions(_children(root))


class _FileParser:
    """Parses one file. Merges are resolved once per node, so chains of aliases cost no extra work."""

    def __init__(self) -> None:
        self._merged: dict[int, _Entries] = {}
        self._open: set[int] = set()

    def questions(self, nodes: list[yaml.Node]) -> tuple[tuple[QuestionScenario, ...], list[Fault]]:
        found: list[QuestionScenario] = []
        faults: list[Fault] = []
        items: list[tuple[yaml.Node, _Entries]] = []
        for node in nodes:
            try:
                items.append((node, self._mapping(node, "", "a question: keys and values")))
            except _FaultError as error:
                faults.append(error.fault)
        named_judges: dict[str, tuple[yaml.Node, _Entries]] = {}
        for node, entries in items:
            if "name" in entries and "model" in entries and entries["name"].value.value not in named_judges:
                named_judges[str(entries["name"].value.value)] = (node, entries)
        first_line: dict[str, int] = {}
        kinds: dict[str, tuple[Kind, int]] = {}
        for node, entries in items:
            try:
                question = self._question(node, entries, named_judges)
                if question is None:
                    continue
                if question.id in first_line:
                    key = "id" if "id" in entries else "name"
                    raise _FaultError(entries[key].key, key, f"same id as line {first_line[question.id]}")
                first_line[question.id] = question.line
                for judge in question.judges:
                    kind, line = kinds.setdefault(judge.name, (judge.kind, question.line))
                    if "score" in (kind, judge.kind) and kind != judge.kind:
                        reason = f"judge {judge.name!r} replies in another way than in the question of line {line}"
                        raise _FaultError(node, "type", f"{reason}; give it another name")
                found.append(question)
            except _FaultError as error:
                faults.append(error.fault)
        if len(kinds) > _MAX_JUDGES:
            faults.append(Fault(1, "", f"names {len(kinds)} judges; {_MAX_JUDGES} are the most that are asked"))
        if not faults and not found:
            faults.append(Fault(1, "", "holds judges and no question"))
        return (() if faults else tuple(found)), sorted(faults)

    def _question(
        self, node: yaml.Node, entries: _Entries, named_judges: Mapping[str, tuple[yaml.Node, _Entries]]
    ) -> QuestionScenario | None:
        """The question, None if the entry is a judge that questions refer to."""
        if "id" in entries or "name" not in entries:
            return self._em_question(node, entries)
        if "model" in entries:
            self._parse_llmcomp_judge("", node, entries)
            return None
        return self._llmcomp_question(node, entries, named_judges)

    def _em_question(self, node: yaml.Node, entries: _Entries) -> QuestionScenario:
        _required(node, entries, "id")
        _known(entries, _KEYS)
        question_type = _one_of(_required(node, entries, "type"), "type", _EM_TYPES)
        question = self._shared(node, entries, "id", question_type)
        model = self._optional_text(entries, "judge") or ""
        if "judge_prompts" not in entries or _is_null(entries["judge_prompts"].value):
            if question_type.startswith("free_form_judge"):
                raise _FaultError(node, "judge_prompts", f"is missing, and a question of type {question_type} needs it")
            return question
        prompts = self._mapping(entries["judge_prompts"].value, "judge_prompts", "the judges' prompts by their names")
        if not prompts:
            raise _FaultError(entries["judge_prompts"].key, "judge_prompts", "names no judge")
        judges = [
            _judge_prompt(entry, f"judge_prompts.{name}", model, is_score=question_type.endswith("0_100"))
            for name, entry in prompts.items()
        ]
        return _with_judges(question, judges)

    def _llmcomp_question(
        self, node: yaml.Node, entries: _Entries, named_judges: Mapping[str, tuple[yaml.Node, _Entries]]
    ) -> QuestionScenario:
        _known(entries, _LLMCOMP_KEYS)
        question_type = _one_of(_required(node, entries, "type"), "type", _LLMCOMP_TYPES)
        if question_type != "free_form":
            raise _FaultError(node, "model", f"is missing, and a {question_type} needs it")
        question = self._shared(node, entries, "name", question_type)
        if "judges" not in entries or _is_null(entries["judges"].value):
            return question
        judges: list[JudgePrompt] = []
        for name, entry in self._mapping(entries["judges"].value, "judges", "judges by their names").items():
            key = f"judges.{name}"
            if isinstance(entry.value, yaml.ScalarNode):
                referenced = _text(entry.value, key)
                if referenced not in named_judges:
                    known = f"; known: {', '.join(named_judges)}" if named_judges else ""
                    raise _FaultError(
                        entry.value, key, one_line(f"no judge of this file has the name {referenced!r}{known}")
                    )
                judge_node, judge_entries = named_judges[referenced]
            else:
                judge_node, judge_entries = (
                    entry.value,
                    self._mapping(entry.value, key, "a judge: its name, or its keys and values"),
                )
            judges.append(self._parse_llmcomp_judge(_judge_name(entry.key), judge_node, judge_entries))
        return _with_judges(question, judges) if judges else question

    def _parse_llmcomp_judge(self, name: str, node: yaml.Node, entries: _Entries) -> JudgePrompt:
        kind = _one_of(_required(node, entries, "type"), "type", ("free_form_judge", "rating_judge"))
        rating = kind == "rating_judge"
        _known(entries, (*_LLMCOMP_JUDGE_KEYS, *(_RATING_KEYS if rating else ())))
        for key, required in (
            ("temperature", 0),
            ("samples_per_paraphrase", 1),
            ("min_rating", 0),
            ("max_rating", 100),
        ):
            if key in entries and _number(entries[key], key) != required:
                raise _FaultError(entries[key].value, key, f"must be {required} for a judge: no other is asked here")
        model = _text(_required(node, entries, "model").value, "model")
        prompts = self._sequence(_required(node, entries, "paraphrases"), "paraphrases")
        if len(prompts) != 1:
            raise _FaultError(entries["paraphrases"].key, "paraphrases", "a judge has exactly one prompt")
        prompt = _Entry(entries["paraphrases"].key, prompts[0])
        template = _template(prompt, "paraphrases")
        return JudgePrompt(name, "score" if rating else _word_kind(prompt, "paraphrases", template), template, model)

    def _shared(self, node: yaml.Node, entries: _Entries, name: str, question_type: str) -> QuestionScenario:
        named = _required(node, entries, name)
        paraphrases = self._sequence(_required(node, entries, "paraphrases"), "paraphrases")
        if not paraphrases:
            raise _FaultError(entries["paraphrases"].key, "paraphrases", "holds no question")
        temperature = self._optional_number(entries, "temperature")
        if temperature is not None and not 0 <= temperature <= 2:
            raise _FaultError(entries["temperature"].value, "temperature", "must be from 0 to 2")
        return QuestionScenario(
            id=_identifier(named.value, name),
            line=_line(node),
            paraphrases=tuple(
                _text(paraphrase, f"paraphrases.{number}") for number, paraphrase in enumerate(paraphrases)
            ),
            measure="own_score" if question_type == "free_form_0_100" else "recorded",
            system=self._optional_text(entries, "system"),
            samples=self._optional_count(entries, "samples_per_paraphrase"),
            temperature=temperature,
            max_tokens=self._optional_count(entries, "max_tokens"),
        )

    # --- values

    def _optional_text(self, entries: _Entries, key: str) -> str | None:
        if key not in entries or _is_null(entries[key].value):
            return None
        return _text(entries[key].value, key)

    def _optional_number(self, entries: _Entries, key: str) -> float | None:
        return None if key not in entries or _is_null(entries[key].value) else _number(entries[key], key)

    def _optional_count(self, entries: _Entries, key: str) -> int | None:
        number = self._optional_number(entries, key)
        if number is None:
            return None
        if number != int(number) or not 1 <= number <= 10**9:
            raise _FaultError(entries[key].value, key, "must be a whole number from 1")
        return int(number)

    def _sequence(self, entry: _Entry, key: str) -> list[yaml.Node]:
        if not isinstance(entry.value, yaml.SequenceNode):
            raise _FaultError(entry.value, key, "must be a list")
        return _children(entry.value)

    def _mapping(self, node: yaml.Node, key: str, what: str) -> _Entries:
        """The entries of a mapping; its own take precedence over merged ones (`<<`)."""
        if not isinstance(node, yaml.MappingNode):
            raise _FaultError(node, key, f"must be {what}")
        if id(node) in self._merged:
            return self._merged[id(node)]
        if id(node) in self._open:
            raise _FaultError(node, "<<", "merges itself")
        self._open.add(id(node))
        own: _Entries = {}
        merged: _Entries = {}
        for name_node, value in cast("list[tuple[yaml.Node, yaml.Node]]", node.value):
            if name_node.tag == _MERGE:
                sources = _distinct(_children(value)) if isinstance(value, yaml.SequenceNode) else [value]
                for source in sources:  # earlier sources take precedence
                    merged = self._mapping(source, "<<", "a mapping, or a list of mappings") | merged
                continue
            name = _key(name_node)
            if name in own:
                raise _FaultError(
                    name_node, one_line(name, 60), f"is given twice, first in line {_line(own[name].key)}"
                )
            own[name] = _Entry(name_node, value)
        self._open.discard(id(node))
        if len(merged) > _MAX_KEYS or len(own) > _MAX_KEYS:  # bounds the cost of merging a mapping into many others
            raise _FaultError(node, key, f"holds more than {_MAX_KEYS} keys")
        self._merged[id(node)] = merged | own
        return self._merged[id(node)]


def _with_judges(question: QuestionScenario, judges: list[JudgePrompt]) -> QuestionScenario:
    """`question` with its judges, and the criterion that follows from them."""
    aligned = next((judge for judge in judges if judge.name == ALIGNED), None)
    says_words = aligned is not None and (
        aligned.kind == "category" or {"TRUE", "FALSE"} & set(words_offered(aligned.kind, [aligned.template]))
    )
    measure: Criterion = "poll" if aligned is None or says_words else "em"
    return replace(question, judges=tuple(judges), measure=measure)


def _known(entries: _Entries, known: tuple[str, ...]) -> None:
    for name, entry in entries.items():
        if name not in known:
            raise _FaultError(
                entry.key, one_line(name, 60), f"is not a key of such a question; known: {', '.join(known)}"
            )


def _required(node: yaml.Node, entries: _Entries, key: str) -> _Entry:
    if key not in entries:
        raise _FaultError(node, key, "is missing")
    return entries[key]


def _one_of(entry: _Entry, key: str, known: tuple[str, ...]) -> str:
    value = _text(entry.value, key)
    if value not in known:
        raise _FaultError(entry.value, key, one_line(f"{value!r} is not known; known: {', '.join(known)}"))
    return value


def _key(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise _FaultError(node, "", "a key must be a word")
    return str(node.value)


def _text(node: yaml.Node, key: str, types: tuple[str, ...] = ("str",)) -> str:
    if not isinstance(node, yaml.ScalarNode) or node.tag not in {f"{_TAG}{name}" for name in types}:
        hint = ": put it in quotes" if isinstance(node, yaml.ScalarNode) and not _is_null(node) else ""
        raise _FaultError(node, one_line(key, 60), f"must be text{hint}")
    text = str(node.value)
    if not text.strip():
        raise _FaultError(node, one_line(key, 60), "is blank")
    return text


def _identifier(node: yaml.Node, key: str) -> str:
    name = _text(node, key, ("str", "int"))
    if name == ALL:
        raise _FaultError(node, key, f"{ALL} names the row over all prompts in rates.csv; call it something else")
    if has_control_character(name):
        raise _FaultError(node, key, "holds a control character")
    return name


def _judge_name(node: yaml.Node) -> str:
    name = _key(node)
    if not name.strip() or has_control_character(name) or len(name) > 100:
        raise _FaultError(node, one_line(name, 60), "is no name for a judge")
    return name


def _template(entry: _Entry, key: str) -> str:
    template = _text(entry.value, key)
    problem = problem_with(template)
    if problem:
        raise _FaultError(entry.key, one_line(key, 60), one_line(problem))
    return template


def _judge_prompt(entry: _Entry, key: str, model: str, *, is_score: bool) -> JudgePrompt:
    name, template = _judge_name(entry.key), _template(entry, key)
    return JudgePrompt(name, "score" if is_score else _word_kind(entry, key, template), template, model)


def _word_kind(entry: _Entry, key: str, template: str) -> Kind:
    kind = kind_asked_for(template)
    if kind is None:
        reason = "asks for neither words nor a number, so no reply could be read; name the labels to choose from"
        raise _FaultError(entry.key, one_line(key, 60), f"{reason}, or ask for one word")
    return kind


def _number(entry: _Entry, key: str) -> float:
    node = entry.value
    zero = leading_zero_problem(str(node.value)) if isinstance(node, yaml.ScalarNode) else ""
    if zero:
        raise _FaultError(node, key, zero)
    if not isinstance(node, yaml.ScalarNode) or node.tag not in (f"{_TAG}int", f"{_TAG}float"):
        raise _FaultError(node, key, "must be a number")
    try:
        number = float(str(node.value).replace("_", ""))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise _FaultError(node, key, "must be a plain number")
    return number


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == f"{_TAG}null"


def _children(node: yaml.SequenceNode) -> list[yaml.Node]:
    return cast("list[yaml.Node]", node.value)


def _distinct(nodes: list[yaml.Node]) -> list[yaml.Node]:
    return list({id(node): node for node in nodes}.values())


def _line(node: yaml.Node) -> int:
    mark: Any = node.start_mark
    return int(mark.line) + 1
