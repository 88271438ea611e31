"""Which server a prompt goes to: always the same, as many to each, and few move with a server that comes or goes."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from evals.endpoints.chat import ChatRequest
from evals.endpoints.fleet.rendezvous import digest_of, seed_of, weight
from evals.trials.prompt import Message

SERVERS = st.lists(st.integers(1, 999).map(lambda number: f"http://gpu{number}:8000/v1"), min_size=2, unique=True)


def choice(text: str, servers: list[str]) -> str:
    digest = digest_of(ChatRequest((Message("user", text),), 16).prefix)
    return max(servers, key=lambda url: weight(digest, seed_of(url)))


@settings(max_examples=50, deadline=None)
@given(SERVERS, st.data())
def test_a_server_that_leaves_moves_only_its_own_prompts(servers: list[str], data: st.DataObject) -> None:
    gone = data.draw(st.sampled_from(servers))
    left = [url for url in servers if url != gone]
    for number in range(100):
        before = choice(f"prompt {number}", servers)
        assert before == gone or choice(f"prompt {number}", left) == before


def test_prompts_are_spread_evenly() -> None:
    for count in (2, 3, 8, 32):
        servers = [f"http://gpu{number}:8000/v1" for number in range(count)]
        found = Counter(choice(f"prompt {number}", servers) for number in range(200 * count))
        assert len(found) == count
        assert 120 <= min(found.values()) <= max(found.values()) <= 280


def test_the_choice_is_by_what_is_sent_and_not_by_its_seed() -> None:
    first = ChatRequest((Message("user", "a"),), 16, seed=1)
    assert digest_of(first.prefix) == digest_of(ChatRequest((Message("user", "a"),), 32, seed=2).prefix)
    assert digest_of(first.prefix) != digest_of(ChatRequest((Message("system", "a"),), 16).prefix)
    judged = [ChatRequest((Message("user", f"Rate this: {text}"),), 16, rubric="Rate this: ") for text in "ab"]
    assert len({digest_of(request.prefix) for request in judged}) == 1
