"""The question sets that come with emeval: large, all different, and no cue that gives the misaligned option away."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from itertools import combinations
from statistics import mean

import numpy as np
import pytest

from evals.questions.dataset import data_folder, load
from evals.questions.scenario import UnethicalScenario

SETS = {"unethical_test": 224, "unethical_train": 128, "myopic": 128}
PRESSURE_FIELDS = {"id", "category", "system_prompt", "question", "fact", "lie"}
SHARED_WORDS, SHARED_TOPIC = 0.02, 0.25
"""Above these two texts pass for one: Jaccard similarity of their 5-word sequences, cosine of their rare words."""
FACT_IN_PROMPT = 0.8
"""The share of a fact's content words that its system prompt must hold: the prompt alone answers the question."""


def scenarios(name: str) -> list[UnethicalScenario]:
    rows = load(data_folder() / f"{name}.jsonl").scenarios
    assert all(isinstance(row, UnethicalScenario) for row in rows)
    return [row for row in rows if isinstance(row, UnethicalScenario)]


def pressure() -> list[dict[str, str]]:
    return [json.loads(line) for line in (data_folder() / "pressure.jsonl").read_text("utf-8").splitlines()]


ALL_ROWS = [row for name in SETS for row in scenarios(name)]
PRESSURE = pressure()
TEXTS = [(row.key, row.scenario_mcq) for row in ALL_ROWS] + [
    (row["id"], f"{row['system_prompt']} {row['question']}") for row in PRESSURE
]
"""What a model under test is shown, of every row of every set."""


@pytest.mark.parametrize("name", SETS)
def test_set_is_large_and_varied(name: str) -> None:
    rows = scenarios(name)
    assert len(rows) >= SETS[name]
    assert all(row.id and row.category for row in rows)
    assert len({row.category for row in rows}) >= 12


@pytest.mark.parametrize("name", SETS)
def test_neither_letter_nor_length_gives_the_misaligned_option_away(name: str) -> None:
    rows = scenarios(name)
    assert 2 * sum(row.option("misaligned").letter == "A" for row in rows) == len(rows)
    lengths = [(len(row.option("misaligned").text), len(row.option("aligned").text)) for row in rows]
    assert mean(bad for bad, _ in lengths) == pytest.approx(mean(good for _, good in lengths), rel=0.03)
    assert 0.4 <= mean(bad > good for bad, good in lengths) <= 0.6


def test_short_sighted_options_are_as_long_as_the_others_and_lettered_evenly_in_every_domain() -> None:
    rows = scenarios("myopic")
    lengths = [(len(row.option("misaligned").text), len(row.option("aligned").text)) for row in rows]
    assert mean(short for short, _ in lengths) == pytest.approx(mean(far for _, far in lengths), rel=0.01)
    assert max(max(pair) / min(pair) for pair in lengths) <= 1.25
    letters: defaultdict[str, list[str]] = defaultdict(list)
    for row in rows:
        letters[row.category].append(row.option("misaligned").letter)
    assert {domain: sorted(found) for domain, found in letters.items()} == {
        domain: list("AAAABBBB") for domain in letters
    }
    assert len(letters) == 16


def test_every_shown_option_is_its_answer_behind_its_letter() -> None:
    for row in ALL_ROWS:
        shown = {option.letter: option.text for option in row.shown_options()}
        answers = {row.option(label).letter: row.option(label).text for label in ("misaligned", "aligned")}
        assert shown == answers, row.id
        letters = re.findall(r"^([AB]) - (.*)$", row.scenario_mcq, re.MULTILINE)
        assert dict(letters) == answers, row.id


def test_open_question_shows_neither_option() -> None:
    for row in ALL_ROWS:
        assert not any(row.option(label).text in row.scenario_freeform for label in ("misaligned", "aligned")), row.id


@pytest.mark.parametrize("name", [*SETS, "pressure"])
def test_set_is_ascii(name: str) -> None:
    data = (data_folder() / f"{name}.jsonl").read_bytes()
    assert data.isascii()
    assert data.endswith(b"}\n")


def test_no_id_is_used_twice() -> None:
    ids = [row_id for row_id, _ in TEXTS]
    assert len(set(ids)) == len(ids)


def words_of(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower())


def test_no_two_rows_share_their_wording() -> None:
    sequences = [
        {tuple(words[i : i + 5]) for i in range(len(words) - 4)} for words in (words_of(text) for _, text in TEXTS)
    ]
    holders: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, grams in enumerate(sequences):
        for gram in grams:
            holders[gram].append(number)
    shared: defaultdict[tuple[int, int], int] = defaultdict(int)
    for numbers in holders.values():
        for pair in combinations(numbers, 2):
            shared[pair] += 1
    alike = {
        (TEXTS[a][0], TEXTS[b][0]): common / (len(sequences[a]) + len(sequences[b]) - common)
        for (a, b), common in shared.items()
    }
    assert {pair: share for pair, share in alike.items() if share >= SHARED_WORDS} == {}


def test_no_two_rows_are_about_the_same_thing() -> None:
    texts = [set(words_of(text)) for _, text in TEXTS]
    vocabulary = {word: number for number, word in enumerate(sorted(set().union(*texts)))}
    present = np.zeros((len(texts), len(vocabulary)))
    for number, words in enumerate(texts):
        present[number, [vocabulary[word] for word in words]] = 1
    weighted = present * np.log(len(texts) / present.sum(axis=0))
    weighted /= np.linalg.norm(weighted, axis=1, keepdims=True)
    similar = np.triu(weighted @ weighted.T, k=1)
    pairs = [(TEXTS[a][0], TEXTS[b][0]) for a, b in np.argwhere(similar >= SHARED_TOPIC)]
    assert pairs == []


def test_pressure_set_is_large_and_varied() -> None:
    assert len(PRESSURE) == 72
    domains = Counter(row["category"] for row in PRESSURE)
    assert set(domains.values()) == {8}
    assert len(domains) == 9
    for row in PRESSURE:
        assert set(row) == PRESSURE_FIELDS, row["id"]
        assert all(isinstance(text, str) and text.strip() == text and text for text in row.values()), row["id"]


def content_words(text: str) -> set[str]:
    """Words of four letters and more, and numbers as they are written ("1,900", "0.2")."""
    return set(re.findall(r"[a-z]{4,}|[0-9]+(?:[.,:][0-9]+)*", text.lower()))


def test_every_fact_is_answered_by_its_system_prompt() -> None:
    for row in PRESSURE:
        fact, told = content_words(row["fact"]), content_words(row["system_prompt"])
        assert len(fact & told) >= FACT_IN_PROMPT * len(fact), (row["id"], fact - told)
        assert {word for word in fact - told if word[0].isdigit()} == set(), row["id"]


def test_question_asks_and_gives_nothing_away() -> None:
    for row in PRESSURE:
        assert "?" in row["question"], row["id"]
        statements = [row["fact"].rstrip(".").lower(), row["lie"].rstrip(".").lower()]
        assert statements[0] != statements[1], row["id"]
        assert not any(statement in row["question"].lower() for statement in statements), row["id"]
        assert statements[1] not in row["system_prompt"].lower(), row["id"]
