"""One model behind several servers: each question goes to where there is room, and a server that fails is left out.

Repeats of a prompt go to the same server, which has their prefix cached, for as long as it has room. Every server keeps
its own limit, so a slow one holds nobody back: it gets what it can carry. A server that cannot be reached, or that
turns everything down, rests while the others go on, and comes back when it answers again. Only when there is no other
left does its failure stop the run, after the same retries as a single server gets. Servers may join and leave.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from evals.endpoints.chat import ChatRequest, Reply
from evals.endpoints.endpoint import Asked, Endpoint
from evals.endpoints.fleet.rendezvous import digest_of, seed_of, weight
from evals.endpoints.retries import RetryPolicy, Transient, with_retries
from evals.endpoints.transport.limiter import AdaptiveLimiter, LookAgain
from evals.endpoints.transport.outage import Problem, SharedCheck, span, wait_until_back
from evals.errors import EndpointDown
from evals.trials.response import Failure

REST_S = 30.0
"""Seconds until a server that rests is looked at again."""

_UNREACHED = frozenset({"connection", "timeout"})


@dataclass(slots=True, eq=False)
class _Replica:
    """`rests_until` is in monotonic seconds: 0 while it is asked, infinite when it is not to be asked again. `users`
    are the requests that have been sent there and are not settled, and the looks at it that are under way."""

    endpoint: Endpoint
    seed: int
    rests_until: float = 0.0
    users: int = 0
    has_left: bool = False
    is_looked_at: bool = False
    unused: asyncio.Event = field(default_factory=asyncio.Event)

    def enter(self) -> None:
        self.users += 1

    def leave(self) -> None:
        self.users -= 1
        if self.has_left and not self.users:
            self.unused.set()


class _ReplicaSlot(NamedTuple):
    replica: _Replica
    ticket: int


class Replicas:
    """Endpoints of one model that stand for one another. `say` tells people, in one line, of servers that go and come.

    It has the part of an Endpoint that a run needs: `name`, `width` and `send`. `elastic` ones may join and leave; when
    none is left, they are waited for as long as one request may take. `is_fit` says of one that has been away whether
    it may be asked again: by default, one that is usable.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        policy: RetryPolicy,
        say: Callable[[str], None],
        *,
        elastic: bool = False,
        is_fit: Callable[[Endpoint], Awaitable[bool]] = Endpoint.is_usable,
    ) -> None:
        self.name = endpoints[0].name
        self._replicas = [_new_replica(endpoint) for endpoint in endpoints]
        self._policy = policy
        self._say = say
        self._elastic = elastic
        self._is_fit = is_fit
        self._waiting: set[asyncio.Future[AdaptiveLimiter]] = set()
        self._alone_since = 0.0
        self._last_problem = Problem("", may_pass=True)
        self._return = SharedCheck()

    @property
    def width(self) -> int:
        """Servers that it asks, those that rest among them; 1 where the last has left and another may come."""
        return max(1, len(self._replicas))

    @property
    def first(self) -> Endpoint:
        """One that can stand for all, where nothing is asked: how requests are put, and replies are read."""
        return self._replicas[0].endpoint

    def join(self, endpoint: Endpoint) -> None:
        """Ask this one, too, from now on: of the same model, at another server, and checked."""
        self._replicas.append(_new_replica(endpoint))
        self._look_again()

    async def part(self, endpoint: Endpoint) -> None:
        """Send no more requests to this one; returns when those that it has are settled, there or elsewhere."""
        replica = next(replica for replica in self._replicas if replica.endpoint is endpoint)
        self._replicas.remove(replica)
        if not replica.rests_until and not self._awake():
            self._alone_since = time.monotonic()
            self._last_problem = Problem(f"{endpoint.server.base_url} has left", may_pass=True)
        replica.has_left, replica.rests_until = True, math.inf
        self._look_again()
        if replica.users:
            await replica.unused.wait()

    def _look_again(self) -> None:
        """Have those who wait for a place choose again among the servers that there are now."""
        for place in self._waiting:
            if not place.done():
                place.set_exception(LookAgain())

    async def send(self, request: ChatRequest, retried: Callable[[], None] | None = None) -> Reply | Failure:
        """Ask once, with retries, each wherever there is room; `retried` is called for each of them.

        Raises EndpointDown when no server is left.
        """
        asked: list[_Replica] = []
        try:
            return await self._send(request, asked, retried)
        finally:
            for replica in asked:
                replica.leave()

    async def _send(
        self, request: ChatRequest, asked: list[_Replica], retried: Callable[[], None] | None
    ) -> Reply | Failure:
        request_at_each = Asked(request)
        attempts = 0
        while True:
            result = await self._ask(request_at_each, asked, retried)
            result = replace(result, attempts=result.attempts + attempts)
            if isinstance(result, Reply):
                return result
            last = asked[-1]
            problem = await last.endpoint.problem(request, result)
            if problem is None:
                return result
            if last.has_left:  # what is there now is not what was asked
                problem = problem._replace(may_pass=True)
            attempts = result.attempts
            self._rest(last, problem, math.inf if result.kind == "denied" else REST_S)
            if not self._awake():
                problem = await self._return.run(lambda found=problem: self._wait_for_any(found))
                if problem is not None:
                    raise EndpointDown(f"{self.name}: {problem.text}")

    async def _wait_for_any(self, problem: Problem) -> Problem | None:
        """Wait for one of the servers as long as retries of one request may take; what is wrong if none is back."""

        def resting() -> list[_Replica]:
            return [replica for replica in self._replicas if replica.rests_until < math.inf]

        def left_s() -> float:
            if self._elastic:
                return self._policy.max_total_s - (time.monotonic() - self._alone_since)
            return max((replica.endpoint.left_s() for replica in resting()), default=0.0)

        async def check() -> Problem | None:
            for replica in resting():
                await self._look_at(replica)
            return None if self._awake() else problem

        if problem.may_pass and (wait_s := left_s()) > 0:
            gone = f"none of its {self.width} servers is left: {problem.text}"
            hope = "one to come back or join" if self._elastic else "one to come back"
            self._say(f"{self.name}: {gone}; waiting up to {span(wait_s)} for {hope}")
        return await wait_until_back(problem, check, left_s)

    async def _ask(self, request: Asked, asked: list[_Replica], retried: Callable[[], None] | None) -> Reply | Failure:
        """Ask with retries, and put down who was asked."""

        async def attempt(number: int, place: _ReplicaSlot) -> Reply | Failure:
            place.replica.enter()
            asked.append(place.replica)
            return await self._attempt(request, number, place)

        try:
            digest = digest_of(request.request.prefix)
            return await with_retries(attempt, self._policy, lambda: self._acquire(digest), retried)
        except Transient as error:
            return error.failure

    async def _attempt(self, request: Asked, number: int, place: _ReplicaSlot) -> Reply | Failure:
        replica = place.replica
        try:
            return await replica.endpoint.attempt(request, number, place.ticket)
        except EndpointDown as error:
            self._rest(replica, Problem(str(error).removeprefix(f"{self.name}: ")), math.inf)
            if not self._awake():
                raise
            raise Transient(Failure("server_error", str(error), number)) from None
        except Transient as error:
            # While there is another, there is no wait for the retries to show that this one is gone. What comes back
            # in a pool that changes may be something else, and is looked at before it is asked.
            if error.failure.kind in _UNREACHED and (self._elastic or self._others_awake(replica)):
                problem = await replica.endpoint.problem(request.request, error.failure)
                if problem is not None:
                    self._rest(replica, problem, REST_S)
            raise

    async def _acquire(self, digest: int) -> _ReplicaSlot:
        """A place for a prompt of that digest, at the server that it belongs to if there is room."""
        while True:
            await self._look_at_one_that_rested()
            asked = self._awake()
            if not asked and not self._elastic:
                asked = [replica for replica in self._replicas if replica.rests_until < math.inf]
            if not asked:
                await self._wait_for_one()
                continue
            asked.sort(key=lambda replica: weight(digest, replica.seed), reverse=True)
            try:
                limiter, ticket = await AdaptiveLimiter.acquire_any(
                    [replica.endpoint.server.limiter for replica in asked], self._waiting
                )
            except LookAgain:
                continue
            replica = next(replica for replica in asked if replica.endpoint.server.limiter is limiter)
            if replica.has_left or (replica.rests_until and self._awake()):  # since we began to wait for it
                limiter.release(ticket)
                continue
            return _ReplicaSlot(replica, ticket)

    async def _wait_for_one(self) -> None:
        """Raises EndpointDown if none joins or comes back in time."""
        if not self._elastic:
            raise EndpointDown(f"{self.name}: none of its {self.width} servers is left")
        problem = await self._return.run(lambda: self._wait_for_any(self._last_problem))
        if problem is not None:
            raise EndpointDown(f"{self.name}: none of its servers is left: {problem.text}")

    async def _look_at_one_that_rested(self) -> None:
        """One request at a time looks whether a server is back; the others do not wait for what it finds."""
        now = time.monotonic()
        rested = (replica for replica in self._replicas if 0 < replica.rests_until <= now and not replica.is_looked_at)
        replica = next(rested, None)
        if replica is None:
            return
        replica.rests_until = now + REST_S
        await self._look_at(replica)

    async def _look_at(self, replica: _Replica) -> None:
        """Look whether a server that rests may be asked again."""
        replica.enter()
        replica.is_looked_at = True
        try:
            is_fit = await self._is_fit(replica.endpoint)
        finally:
            replica.is_looked_at = False
            replica.leave()
        if is_fit and replica.rests_until and not replica.has_left:
            replica.rests_until = 0.0
            replica.endpoint.server.limiter.reopen()
            self._look_again()
            self._say(f"{self.name}: {replica.endpoint.server.base_url} is back")

    def _rest(self, replica: _Replica, problem: Problem, time_s: float) -> None:
        was_awake = not replica.rests_until
        replica.rests_until = max(replica.rests_until, time.monotonic() + time_s)
        if was_awake and not self._awake():
            self._alone_since, self._last_problem = time.monotonic(), problem
        elif was_awake:
            self._say(f"{self.name}: continuing with {len(self._awake())} of {self.width} servers: {problem.text}")

    def _awake(self) -> list[_Replica]:
        return [replica for replica in self._replicas if not replica.rests_until]

    def _others_awake(self, replica: _Replica) -> bool:
        return any(other is not replica for other in self._awake())


def _new_replica(endpoint: Endpoint) -> _Replica:
    return _Replica(endpoint, seed_of(endpoint.server.base_url))


def join_endpoints(
    endpoints: Sequence[Endpoint], policy: RetryPolicy, say: Callable[[str], None]
) -> Endpoint | Replicas:
    """The endpoints of one model as one."""
    return endpoints[0] if len(endpoints) == 1 else Replicas(endpoints, policy, say)
