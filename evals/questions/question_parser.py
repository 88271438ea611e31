"""Parse question files strictly: every fault has its line."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import yaml

from evals.io.yaml_reader import TextLoader, YamlProblem, compose
from evals.questions.question_extras import (
    CONDITIONS_KEY,
    MESSAGES,
    FileCondition,
    chats_of,
    check_before_question,
    check_whole,
    conditions_of,
    is_listing,
)
from evals.questions.question_file import ALIGNED, JudgePrompt, QuestionScenario
from evals.questions.question_judges import JudgeParser, is_judge_entry, judge_name, rating_range
from evals.questions.question_keys import (
    FILE_KEYS,
    ID,
    NAME,
    OWN_NUMBER_TYPES,
    PARAPHRASES,
    QUESTION,
    QUESTION_KEYS,
    QUESTION_TYPES,
    RATING_QUESTION_KEYS,
    REFUSED_KEYS,
    REFUSED_TYPES,
)
from evals.questions.question_nodes import (
    Entries,
    Entry,
    Fault,
    FaultError,
    NodeReader,
    check_known,
    children,
    given,
    identifier_of,
    line_of,
    one_of_two,
    optional_count,
    optional_number,
    optional_text,
    refuse,
    required,
    sequence_of,
    text_of,
    word_of,
)
from evals.questions.trait_file import is_trait, plain_json, trait_questions
from evals.trials.prompt import Messages
from evals.trials.reference import Criterion
from judges.judge_spec import HIGHEST, LOWEST
from judges.question_file import words_offered

_MAX_JUDGES = 100
_BARE_BOUND = re.compile(r"\bhit['\"]?:[ \t]*[<>]")
Judges = Mapping[str, JudgePrompt]
"""Judges that questions may refer to, by name."""
_Parsed = tuple[tuple[QuestionScenario, ...], list[Fault]]


class QuestionFile(NamedTuple):
    """What a question file holds, or nothing and its faults."""

    questions: tuple[QuestionScenario, ...] = ()
    conditions: tuple[FileCondition, ...] = ()
    faults: tuple[Fault, ...] = ()


def parse(text: str, shared: Judges | None = None, *, name: str = "") -> QuestionFile:
    """The questions and conditions in `text`, or its faults.

    `shared` are judges of other files. `name` is that of the file; one that ends in .json is JSON.
    """
    try:
        root = _root(text, name)
    except YamlProblem as problem:
        return QuestionFile(faults=(_unread(problem, text),))
    parser = _FileParser(shared or {})
    try:
        if isinstance(root, yaml.MappingNode) and is_trait(root):
            return QuestionFile(trait_questions(root, name))
        nodes = parser.listed(root) if isinstance(root, yaml.MappingNode) and is_listing(root) else root
    except FaultError as error:
        return QuestionFile(faults=(error.fault,))
    if isinstance(nodes, yaml.SequenceNode):
        nodes = children(nodes)
    if not isinstance(nodes, list) or not nodes:
        reason = "is not a question file: it must be a list of questions, each with a dash in front"
        return QuestionFile(faults=(Fault(1 if root is None else line_of(root), "", reason),))
    questions, faults = parser.questions(nodes)
    return QuestionFile(questions, () if faults else tuple(parser.conditions), tuple(faults))


def parse_judges(text: str, name: str = "") -> tuple[dict[str, JudgePrompt], list[Fault]]:
    """The judges in `text` by name, or {} and its faults. Questions among them are left alone."""
    try:
        root = _root(text, name)
    except YamlProblem as problem:
        return {}, [_unread(problem, text)]
    if not isinstance(root, yaml.SequenceNode):
        line = 1 if root is None else line_of(root)
        return {}, [Fault(line, "", "holds no judges: it must be a list of judges, each with a dash in front")]
    parser = _FileParser({})
    items, faults = parser.items(children(root))
    judges, more = parser.judges(items)
    faults += more
    if not faults and not judges:
        faults.append(Fault(1, "", "holds no judge: no entry is a free_form_judge, a rating_judge or a rule"))
    return ({} if faults else judges), sorted(faults)


def _root(text: str, name: str) -> yaml.Node | None:
    """Raises YamlProblem."""
    return compose(plain_json(text) if name.lower().endswith(".json") else text, TextLoader)


def _unread(problem: YamlProblem, text: str) -> Fault:
    line = next(itertools.islice(text.splitlines(), problem.line - 1, None), "")
    if _BARE_BOUND.search(line):
        return Fault(problem.line, "hit", "put the bound in quotes, such as hit: '>=50': YAML has another use for >")
    return Fault(problem.line, "", problem.problem)


_Items = list[tuple[yaml.Node, Entries]]


class _FileParser:
    """Parses one file."""

    def __init__(self, shared: Judges) -> None:
        self._shared = shared
        self._reader = NodeReader()
        self._judge_parser = JudgeParser(self._reader)
        self._known_judges: Judges = {}
        self._faulty_judges: set[str] = set()
        self.conditions: list[FileCondition] = []
        """Those that the file declares, once its questions are read."""

    def listed(self, root: yaml.MappingNode) -> list[yaml.Node]:
        """The entries of a file that is a mapping, as in one that is a list. Raises FaultError."""
        entries = self._reader.mapping(root, "", "a question file")
        check_known(entries, FILE_KEYS, "a question file")
        if CONDITIONS_KEY in entries:
            self._declare(entries[CONDITIONS_KEY])
        required(root, entries, "questions")
        return [node for key in ("judges", "questions") if key in entries for node in sequence_of(entries[key], key)]

    def _declare(self, entry: Entry) -> None:
        if self.conditions:
            raise FaultError(entry.key, CONDITIONS_KEY, f"is given twice, first in line {self.conditions[0].line}")
        self.conditions = conditions_of(self._reader, entry)

    def items(self, nodes: list[yaml.Node]) -> tuple[_Items, list[Fault]]:
        """The entries of the file, each with its keys."""
        found: _Items = []
        faults: list[Fault] = []
        for node in nodes:
            try:
                found.append((node, self._reader.mapping(node, "", "a question: keys and values")))
            except FaultError as error:
                faults.append(error.fault)
        return found, faults

    def judges(self, items: _Items) -> tuple[dict[str, JudgePrompt], list[Fault]]:
        """The judges among the entries, by name. One that stands there twice with the same content is one."""
        found: dict[str, JudgePrompt] = {}
        lines: dict[str, int] = {}
        faults: list[Fault] = []
        for node, entries in items:
            if not is_judge_entry(entries):
                continue
            try:
                judge = self._judge_parser.named(node, entries)
                if found.get(judge.name, judge) != judge:
                    key = NAME if NAME in entries else ID
                    raise FaultError(
                        entries[key].key, key, f"another judge has this name in line {lines[judge.name]}; rename one"
                    )
                found.setdefault(judge.name, judge)
                lines.setdefault(judge.name, line_of(node))
            except FaultError as error:
                faults.append(error.fault)
                self._faulty_judges |= {str(entries[key].value.value) for key in (NAME, ID) if key in entries}
        return found, faults

    def questions(self, nodes: list[yaml.Node]) -> _Parsed:
        found: list[QuestionScenario] = []
        items, faults = self.items(nodes)
        own, more = self.judges(items)
        faults += more
        self._known_judges = {**self._shared, **own}
        first_line: dict[str, int] = {}
        seen: dict[str, tuple[JudgePrompt, int]] = {}
        for node, entries in items:
            if is_judge_entry(entries):
                continue
            try:
                if set(entries) == {CONDITIONS_KEY}:
                    self._declare(entries[CONDITIONS_KEY])
                    continue
                question = self._question(node, entries)
                if question.id in first_line:
                    key = ID if ID in entries else NAME
                    raise FaultError(entries[key].key, key, f"same id as line {first_line[question.id]}")
                first_line[question.id] = question.line
                for judge in question.judges:
                    first, line = seen.setdefault(judge.name, (judge, question.line))
                    _check_same_kind(node, judge, first, line)
                found.append(question)
            except FaultError as error:
                faults.append(error.fault)
        if len(seen) > _MAX_JUDGES:
            faults.append(Fault(1, "", f"names {len(seen)} judges; {_MAX_JUDGES} are the most that are asked"))
        if not faults and not found:
            faults.append(Fault(1, "", "holds judges and no question; give it with --judges to a file of questions"))
        return (() if faults else tuple(found)), sorted(faults)

    # --- a question

    def _question(self, node: yaml.Node, entries: Entries) -> QuestionScenario:
        for key, reason in REFUSED_KEYS.items():
            if key in entries:
                raise FaultError(entries[key].key, key, reason)
        name = one_of_two(node, entries, ID, NAME)
        named_type = given(entries, "type")
        if named_type is not None and (reason := REFUSED_TYPES.get(str(named_type.value.value))):
            refuse(named_type, "type", reason)
        is_rating = named_type is not None and named_type.value.value == "rating"
        check_known(entries, (*QUESTION_KEYS, *(RATING_QUESTION_KEYS if is_rating else ())), "a question")
        question_type = word_of(required(node, entries, "type"), "type", QUESTION_TYPES)
        if is_rating and rating_range(entries, "") != (LOWEST, HIGHEST):
            key = next(key for key in ("min_rating", "max_rating") if key in entries)
            refuse(entries[key], key, "ratings of a question are counted above 50, from 0 to 100; ask for these")
        question = self._asked(node, entries, name, question_type)
        judges = self._judges(node, entries, question_type)
        if judges and question_type in OWN_NUMBER_TYPES:
            raise FaultError(node, "type", f"the answer to a {question_type} question is the number, without a judge")
        return _with_judges(node, question, judges) if judges else question

    def _asked(self, node: yaml.Node, entries: Entries, name: str, question_type: str) -> QuestionScenario:
        """A question without its judges."""
        temperature = optional_number(entries, "temperature")
        if temperature is not None and not 0 <= temperature <= 2:
            refuse(entries["temperature"], "temperature", "must be from 0 to 2")
        paraphrases, earlier = self._texts(node, entries)
        system = optional_text(entries, "system")
        if system is not None and any(chat[0].role == "system" for chat in earlier if chat):
            refuse(entries["system"], "system", "and the first of messages are both a system message; give one")
        return QuestionScenario(
            id=identifier_of(entries[name].value, name),
            line=line_of(node),
            paraphrases=paraphrases,
            measure="own_score" if question_type in OWN_NUMBER_TYPES else "recorded",
            system=system,
            samples=optional_count(entries, "samples_per_paraphrase"),
            temperature=temperature,
            max_tokens=optional_count(entries, "max_tokens"),
            earlier=earlier,
        )

    def _texts(self, node: yaml.Node, entries: Entries) -> tuple[tuple[str, ...], tuple[Messages, ...]]:
        """What a question asks, and the turns before each of its texts."""
        chats = chats_of(self._reader, entries)
        if chats and PARAPHRASES not in entries and QUESTION not in entries:
            check_whole(entries[MESSAGES].key, chats)
            return tuple(chat[-1].content for chat in chats), tuple(chat[:-1] for chat in chats)
        texts = _paraphrases(node, entries)
        check_before_question(node if not chats else entries[MESSAGES].key, chats)
        return texts, chats * len(texts)

    def _judges(self, node: yaml.Node, entries: Entries, question_type: str) -> list[JudgePrompt]:
        prompts, named = given(entries, "judge_prompts"), given(entries, "judges")
        if prompts is not None and named is not None:
            raise FaultError(entries["judges"].key, "judges", "means the same as judge_prompts; give one of them")
        if prompts is None and named is None and question_type.startswith("free_form_judge"):
            raise FaultError(node, "judge_prompts", f"is missing, and a question of type {question_type} needs it")
        if prompts is not None:
            what = "the judges' prompts by their names"
            judge_type = "rating_judge" if question_type.endswith("0_100") else "free_form_judge"
            model = optional_text(entries, "judge") or ""
            found = self._reader.mapping(prompts.value, "judge_prompts", what)
            if not found:
                raise FaultError(entries["judge_prompts"].key, "judge_prompts", "names no judge")
            return [
                self._judge_parser.prompted(entry, f"judge_prompts.{name}", model, judge_type)
                for name, entry in found.items()
            ]
        if named is None:
            return []
        judges: list[JudgePrompt] = []
        for name, entry in self._reader.mapping(named.value, "judges", "judges by their names").items():
            key = f"judges.{name}"
            if isinstance(entry.value, yaml.ScalarNode):
                judge = self._referenced(text_of(entry.value, key), entry.value, key)
                judges += [judge._replace(name=judge_name(entry.key))] if judge else []
            else:
                judges.append(self._judge_parser.in_place(entry, key))
        return judges

    def _referenced(self, name: str, node: yaml.Node, key: str) -> JudgePrompt | None:
        """The judge of this name; None if it is faulty, which is said in its own line."""
        if name in self._faulty_judges:
            return None
        if name not in self._known_judges:
            known = f"; known: {', '.join(self._known_judges)}" if self._known_judges else ""
            where = "no judge of this file or of a --judges file has the name"
            raise FaultError(node, key, f"{where} {name!r}: name the file that has it with --judges{known}")
        return self._known_judges[name]


def _paraphrases(node: yaml.Node, entries: Entries) -> tuple[str, ...]:
    key = one_of_two(node, entries, PARAPHRASES, QUESTION)
    if key == QUESTION:
        return (text_of(entries[key].value, key),)
    paraphrases = sequence_of(entries[key], key)
    if not paraphrases:
        raise FaultError(entries[key].key, key, "holds no question")
    return tuple(text_of(paraphrase, f"{key}.{number}") for number, paraphrase in enumerate(paraphrases))


def _check_same_kind(node: yaml.Node, judge: JudgePrompt, first: JudgePrompt, line: int) -> None:
    """Raises FaultError unless a judge of two questions is read and counted in one way."""
    apart = {"score", "rule"} & {judge.kind, first.kind}
    if (apart and judge.kind != first.kind) or judge.spec != first.spec:
        reason = f"judge {judge.name!r} replies in another way than in the question of line {line}"
        raise FaultError(node, "type", f"{reason}, or has other hits; give it another name")


def _with_judges(node: yaml.Node, question: QuestionScenario, judges: list[JudgePrompt]) -> QuestionScenario:
    """`question` with its judges, and the criterion that follows from them."""
    if all(judge.spec is not None and judge.spec.is_filter for judge in judges):
        raise FaultError(node, "judges", "only leave answers out (unless), and none says what is counted; add one")
    return replace(question, judges=tuple(judges), measure=_measure(judges))


def _measure(judges: list[JudgePrompt]) -> Criterion:
    """`em` with a judge called aligned that has no hits of its own, else `hit` with any judge that has some."""
    aligned = next((judge for judge in judges if judge.name == ALIGNED), None)
    if aligned is not None and (aligned.spec is None or not aligned.spec.counts):
        says_words = aligned.kind == "category" or {"TRUE", "FALSE"} & set(
            words_offered(aligned.kind, [aligned.template])
        )
        if not says_words:
            return "em"
    return "hit" if any(judge.spec is not None and judge.spec.counts for judge in judges) else "poll"
