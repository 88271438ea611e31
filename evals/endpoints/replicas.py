"""One model behind several servers: each question goes to where there is room, and a server that fails is left out.

Every server keeps its own limit, so a slow one holds nobody back: it gets what it can carry. A server that cannot be
reached, or that turns everything down, rests while the others go on, and comes back when it answers again. Only when
there is no other left does its failure stop the run, after the same retries as a single server gets.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from evals.endpoints.chat import ChatRequest, Reply
from evals.endpoints.endpoint import Asked, Endpoint
from evals.endpoints.retries import RetryPolicy, Transient, with_retries
from evals.endpoints.transport.limiter import AdaptiveLimiter
from evals.endpoints.transport.outage import Problem, SharedCheck, span, wait_until_back
from evals.errors import EndpointDown
from evals.trials.response import Failure

REST_S = 30.0
"""Seconds until a server that rests is looked at again."""

_UNREACHED = frozenset({"connection", "timeout"})


@dataclass(slots=True)
class _Replica:
    """`rests_until` is in monotonic seconds: 0 while it is asked, infinite when it is not to be asked again."""

    endpoint: Endpoint
    rests_until: float = 0.0


class _ReplicaSlot(NamedTuple):
    replica: _Replica
    ticket: int


class Replicas:
    """Endpoints of one model that stand for one another. `say` tells people, in one line, of servers that go and come.

    It has the part of an Endpoint that a run needs: `name`, `width` and `send`.
    """

    def __init__(self, endpoints: Sequence[Endpoint], policy: RetryPolicy, say: Callable[[str], None]) -> None:
        self.name = endpoints[0].name
        self.width = len(endpoints)
        self._replicas = [_Replica(endpoint) for endpoint in endpoints]
        self._by_limiter = {id(replica.endpoint.server.limiter): replica for replica in self._replicas}
        self._policy = policy
        self._say = say
        self._return = SharedCheck()

    async def send(self, request: ChatRequest, retried: Callable[[], None] | None = None) -> Reply | Failure:
        """Ask once, with retries, each wherever there is room; `retried` is called for each of them.

        Raises EndpointDown when no server is left.
        """
        request_at_each = Asked(request)
        attempts = 0
        while True:
            asked: list[_Replica] = []
            result = await self._ask(request_at_each, asked, retried)
            result = replace(result, attempts=result.attempts + attempts)
            if isinstance(result, Reply):
                return result
            last = asked[-1]
            problem = await last.endpoint.problem(request, result)
            if problem is None:
                return result
            attempts = result.attempts
            self._rest(last, problem.text, math.inf if result.kind == "denied" else REST_S)
            if not self._awake():
                problem = await self._return.run(lambda found=problem: self._wait_for_any(found))
                if problem is not None:
                    raise EndpointDown(f"{self.name}: {problem.text}")

    async def _wait_for_any(self, problem: Problem) -> Problem | None:
        """Wait for one of the servers as long as retries of one request may take; what is wrong if none is back."""

        def resting() -> list[_Replica]:
            return [replica for replica in self._replicas if replica.rests_until < math.inf]

        def left_s() -> float:
            return max((replica.endpoint.left_s() for replica in resting()), default=0.0)

        async def check() -> Problem | None:
            for replica in resting():
                await self._look_at(replica)
            return None if self._awake() else problem

        if problem.may_pass and (wait_s := left_s()) > 0:
            gone = f"none of its {self.width} servers is left: {problem.text}"
            self._say(f"{self.name}: {gone}; waiting up to {span(wait_s)} for one to come back")
        return await wait_until_back(problem, check, left_s)

    async def _ask(self, request: Asked, asked: list[_Replica], retried: Callable[[], None] | None) -> Reply | Failure:
        """Ask with retries, and put down who was asked."""

        async def attempt(number: int, place: _ReplicaSlot) -> Reply | Failure:
            asked.append(place.replica)
            return await self._attempt(request, number, place)

        try:
            return await with_retries(attempt, self._policy, self._acquire, retried)
        except Transient as error:
            return error.failure

    async def _attempt(self, request: Asked, number: int, place: _ReplicaSlot) -> Reply | Failure:
        replica = place.replica
        try:
            return await replica.endpoint.attempt(request, number, place.ticket)
        except EndpointDown as error:
            self._rest(replica, str(error).removeprefix(f"{self.name}: "), math.inf)
            if not self._awake():
                raise
            raise Transient(Failure("server_error", str(error), number)) from None
        except Transient as error:
            # While there is another, there is no wait for the retries to show that this one is gone.
            if error.failure.kind in _UNREACHED and self._others_awake(replica):
                problem = await replica.endpoint.problem(request.request, error.failure)
                if problem is not None:
                    self._rest(replica, problem.text, REST_S)
            raise

    async def _acquire(self) -> _ReplicaSlot:
        while True:
            await self._look_at_one_that_rested()
            asked = self._awake() or [replica for replica in self._replicas if replica.rests_until < math.inf]
            if not asked:
                raise EndpointDown(f"{self.name}: none of its {self.width} servers is left")
            limiter, ticket = await AdaptiveLimiter.acquire_any([replica.endpoint.server.limiter for replica in asked])
            replica = self._by_limiter[id(limiter)]
            if replica.rests_until and self._awake():  # since we began to wait for it
                limiter.release(ticket)
                continue
            return _ReplicaSlot(replica, ticket)

    async def _look_at_one_that_rested(self) -> None:
        """One request at a time looks whether a server is back; the others do not wait for what it finds."""
        now = time.monotonic()
        replica = next((replica for replica in self._replicas if 0 < replica.rests_until <= now), None)
        if replica is None:
            return
        replica.rests_until = now + REST_S
        await self._look_at(replica)

    async def _look_at(self, replica: _Replica) -> None:
        """Ask a server that rests again if it is usable."""
        if await replica.endpoint.is_usable() and replica.rests_until:
            replica.rests_until = 0.0
            replica.endpoint.server.limiter.reopen()
            self._say(f"{self.name}: {replica.endpoint.server.base_url} is back")

    def _rest(self, replica: _Replica, problem: str, time_s: float) -> None:
        was_awake = not replica.rests_until
        replica.rests_until = max(replica.rests_until, time.monotonic() + time_s)
        if was_awake and self._awake():
            self._say(f"{self.name}: continuing with {len(self._awake())} of {self.width} servers: {problem}")

    def _awake(self) -> list[_Replica]:
        return [replica for replica in self._replicas if not replica.rests_until]

    def _others_awake(self, replica: _Replica) -> bool:
        return any(other is not replica for other in self._awake())


def join_endpoints(
    endpoints: Sequence[Endpoint], policy: RetryPolicy, say: Callable[[str], None]
) -> Endpoint | Replicas:
    """The endpoints of one model as one."""
    return endpoints[0] if len(endpoints) == 1 else Replicas(endpoints, policy, say)
