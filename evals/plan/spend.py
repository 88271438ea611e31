"""What a run has spent: tokens by model, as the servers counted them, and dollars where a price is known.

Counted are the replies that the journal holds, those of earlier sessions of the run, too. An attempt that failed has
told no tokens, and a verdict that was taken from another answer with the same text was paid once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields

from evals.endpoints.prices import BATCH_DISCOUNT, Price, Tariff
from evals.errors import BadInput
from evals.numbers import counted
from evals.text import and_more, one_line
from evals.trials.record import Role, Usage


@dataclass(slots=True)
class _Sums:
    """The numbers of a Usage, to which those of each reply are added."""

    replies: int = 0
    unreported: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    batch_prompt_tokens: int = 0
    batch_completion_tokens: int = 0


_SUMS = tuple(each.name for each in fields(_Sums))


@dataclass(frozen=True, slots=True)
class Charge:
    """What the tokens of one model in one role cost."""

    usage: Usage
    tariff: Tariff

    @property
    def usd(self) -> float | None:
        """None where there is no price, and where no reply told its tokens. Else of the replies that did."""
        usage = self.usage
        if not isinstance(self.tariff, Price) or (usage.replies and usage.unreported == usage.replies):
            return None
        saved = self.tariff.usd(usage.batch_prompt_tokens, usage.batch_completion_tokens) * BATCH_DISCOUNT
        return self.tariff.usd(usage.prompt_tokens, usage.completion_tokens) - saved


class Ledger:
    """The running sums of a run that goes on, from what its journal held at the start."""

    def __init__(self, before: Iterable[Usage] = (), tariffs: Mapping[str, Tariff] | None = None) -> None:
        self._sums: dict[tuple[str, Role], _Sums] = {}
        self.include(before)
        self._tariffs: dict[str, Tariff] = dict(tariffs or {})

    def add(
        self,
        model: str,
        role: Role,
        prompt_tokens: int | None,
        completion_tokens: int | None,
        *,
        by_batch: bool = False,
    ) -> None:
        """One more reply, with what the server says of its tokens."""
        sums = self._of(model, role)
        sums.replies += 1
        if prompt_tokens is None or completion_tokens is None:
            sums.unreported += 1
        sums.prompt_tokens += prompt_tokens or 0
        sums.completion_tokens += completion_tokens or 0
        if by_batch:
            sums.batch_prompt_tokens += prompt_tokens or 0
            sums.batch_completion_tokens += completion_tokens or 0

    def include(self, before: Iterable[Usage]) -> None:
        """What was spent before, once it is known."""
        for usage in before:
            sums = self._of(usage.model, usage.role)
            for name in _SUMS:
                setattr(sums, name, getattr(sums, name) + getattr(usage, name))

    def _of(self, model: str, role: Role) -> _Sums:
        about = (model, role)
        sums = self._sums.get(about)
        if sums is None:
            sums = self._sums[about] = _Sums()
        return sums

    def tariff(self, model: str) -> Tariff:
        """The price of a model's tokens."""
        unknown: Tariff = "unknown"
        return self._tariffs.get(model, unknown)

    def charges(self) -> list[Charge]:
        return [Charge(Usage(*about, **asdict(sums)), self.tariff(about[0])) for about, sums in self._sums.items()]


class Budget:
    """What a run may cost in dollars at list prices, None for any sum. `is_hit`: it was spent before all was asked."""

    def __init__(self, most: float | None, ledger: Ledger) -> None:
        self.most, self.ledger = most, ledger
        self.is_hit = False

    def allows_more(self) -> bool:
        """Whether another request may be sent; to be asked only where there is one."""
        if self.most is None or self.spent() < self.most:
            return True
        self.is_hit = True
        return False

    def spent(self) -> float:
        """What the run has cost. A reply that told no tokens counts as much as the others of its model on average."""
        return sum(_estimated_usd(charge) for charge in self.ledger.charges())

    def check(self, models: Iterable[str]) -> None:
        """Raises BadInput for a model whose price is not known."""
        for name in models if self.most is not None else ():
            if self.ledger.tariff(name) == "unknown":
                raise BadInput(
                    f"--max-cost: no price is known of {one_line(name, 80)}: give it with --prices FILE.csv, or leave "
                    "out --max-cost"
                )


def _estimated_usd(charge: Charge) -> float:
    told = charge.usage.replies - charge.usage.unreported
    return 0.0 if charge.usd is None else charge.usd * charge.usage.replies / max(told, 1)


def total_usd(charges: Sequence[Charge]) -> float | None:
    """The sum of what is known, None where nothing is. No price of one model makes the sum a part of the whole."""
    known = [charge.usd for charge in charges if charge.usd is not None]
    return sum(known) if known else None


def is_whole(charges: Sequence[Charge]) -> bool:
    """Whether `total_usd` is all of it: every paid reply has a price and told its tokens."""
    paid = [charge for charge in charges if charge.tariff != "served here"]
    return all(charge.usd is not None and not charge.usage.unreported for charge in paid)


def spend_words(charges: Sequence[Charge]) -> str:
    """One line: dollars, and what has none; "" before the first reply."""
    if not any(charge.usage.replies for charge in charges):
        return ""
    parts: list[str] = []
    total = total_usd(charges)
    if total is not None:
        parts.append(usd_words(total))
    unknown = [charge for charge in charges if charge.tariff == "unknown"]
    if unknown:
        names = list(dict.fromkeys(one_line(charge.usage.model, 60) for charge in unknown))
        parts.append(f"price unknown: {and_more(names)} ({_tokens(unknown)})")
    if not parts:
        parts.append(f"nothing, served by emeval itself ({_tokens(charges)})")
    unreported = sum(charge.usage.unreported for charge in charges if charge.tariff != "served here")
    if unreported:
        parts.append(f"without {counted(unreported, 'reply')} whose tokens the server did not tell")
    return "; ".join(parts)


def usd_words(usd: float) -> str:
    """Dollars to the cent, and below a cent to two digits that say something."""
    return f"${usd:,.2f}" if usd >= 0.01 or usd == 0 else f"${usd:.2g}"


def _tokens(charges: Sequence[Charge]) -> str:
    sent = sum(charge.usage.prompt_tokens for charge in charges)
    said = sum(charge.usage.completion_tokens for charge in charges)
    return f"{counted(sent, 'token')} in, {said:,} out"
