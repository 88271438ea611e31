"""The question sets that come with emeval: large, all different, and no cue that gives the misaligned option away."""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import combinations
from statistics import mean

import numpy as np
import pytest

from evals.datasets import UnethicalScenario, data_folder, load

SETS = {"unethical_test": 200, "unethical_train": 120}
SHARED_WORDS, SHARED_TOPIC = 0.2, 0.35
"""Above these two scenarios pass for one: Jaccard similarity of their 5-word sequences, cosine of their rare words."""


def scenarios(name: str) -> list[UnethicalScenario]:
    rows = load(data_folder() / f"{name}.jsonl").scenarios
    assert all(isinstance(row, UnethicalScenario) for row in rows)
    return [row for row in rows if isinstance(row, UnethicalScenario)]


ALL_ROWS = [row for name in SETS for row in scenarios(name)]


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


def test_every_shown_option_is_its_answer_behind_its_letter() -> None:
    for row in ALL_ROWS:
        shown = {match["letter"]: match["text"] for match in row.shown_options()}
        answers = {row.option(label).letter: row.option(label).text for label in ("misaligned", "aligned")}
        assert shown == answers, row.id
        letters = re.findall(r"^([AB]) - (.*)$", row.scenario_mcq, re.MULTILINE)
        assert dict(letters) == answers, row.id


def test_open_question_shows_neither_option() -> None:
    for row in ALL_ROWS:
        assert not any(row.option(label).text in row.scenario_freeform for label in ("misaligned", "aligned")), row.id


@pytest.mark.parametrize("name", SETS)
def test_set_is_ascii(name: str) -> None:
    data = (data_folder() / f"{name}.jsonl").read_bytes()
    assert data.isascii()
    assert data.endswith(b"}\n")


def test_no_id_is_used_twice() -> None:
    ids = [row.id for row in ALL_ROWS]
    assert len(set(ids)) == len(ids)


def words_of(row: UnethicalScenario) -> list[str]:
    return re.findall(r"[a-z0-9']+", row.scenario_mcq.lower())


def test_no_two_scenarios_share_their_wording() -> None:
    sequences = [{tuple(words[i : i + 5]) for i in range(len(words) - 4)} for words in map(words_of, ALL_ROWS)]
    holders: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, grams in enumerate(sequences):
        for gram in grams:
            holders[gram].append(number)
    shared: defaultdict[tuple[int, int], int] = defaultdict(int)
    for numbers in holders.values():
        for pair in combinations(numbers, 2):
            shared[pair] += 1
    alike = {
        (ALL_ROWS[a].id, ALL_ROWS[b].id): common / (len(sequences[a]) + len(sequences[b]) - common)
        for (a, b), common in shared.items()
    }
    assert {pair: share for pair, share in alike.items() if share >= SHARED_WORDS} == {}


def test_no_two_scenarios_are_about_the_same_thing() -> None:
    texts = [set(words_of(row)) for row in ALL_ROWS]
    vocabulary = {word: number for number, word in enumerate(sorted(set().union(*texts)))}
    present = np.zeros((len(texts), len(vocabulary)))
    for number, words in enumerate(texts):
        present[number, [vocabulary[word] for word in words]] = 1
    weighted = present * np.log(len(texts) / present.sum(axis=0))
    weighted /= np.linalg.norm(weighted, axis=1, keepdims=True)
    similar = np.triu(weighted @ weighted.T, k=1)
    pairs = [(ALL_ROWS[a].id, ALL_ROWS[b].id) for a, b in np.argwhere(similar >= SHARED_TOPIC)]
    assert pairs == []
