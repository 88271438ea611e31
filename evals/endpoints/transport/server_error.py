"""What a server says is wrong: in the body of an HTTP error, or in place of a reply inside a 200, as gateways do.

An account that cannot pay has many codes, with many HTTP statuses. They are told from everything else by their code,
because asking again cannot help there, and every further request would fail in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, cast

from evals.io.web.retry_after import is_transient_status
from evals.trials.response import FailureKind

_CANNOT_PAY = (
    *("insufficient_quota", "billing_not_active", "billing_hard_limit_reached", "account_deactivated"),  # OpenAI
    *("access_terminated", "billing_error", "credit_balance_too_low", "payment_required", "insufficient_credits"),
    *("credits_exhausted", "insufficient_balance", "insufficient_funds", "insufficient_user_quota"),
    *("not_enough_balance", "exceeded_current_quota_error", "arrearage", "account_overdue", "account_overdue_error"),
    *("account_suspended", "blocked_api_access", "organization_restricted", "spend_limit_exceeded"),
    *("organization_spend_limit_exceeded", "project_spend_limit_exceeded", "budget_exceeded"),
    *("1113", "30001"),  # Zhipu: in arrears; SiliconFlow: balance used up
)
_STATUS_OF_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "permission_error": 403,
    "permission_denied_error": 403,
    "not_found_error": 404,
    "model_not_found": 404,
    "timeout_error": 408,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "capacity_exceeded": 498,
    "api_error": 500,
    "server_error": 500,
    "overloaded_error": 529,
}
_OVERLOADED = frozenset({429, 498, 503, 529})
_DENIED = frozenset({401, 403, 404})


def _key(word: object) -> str:
    return "".join(char for char in str(word).casefold() if char.isalnum())


_CANNOT_PAY_KEYS = {_key(word): word for word in _CANNOT_PAY}
_STATUSES = {_key(word): status for word, status in _STATUS_OF_TYPE.items()}


class ServerError(NamedTuple):
    """An error in a server's words. `codes` are its codes and types; `status` is the HTTP status that it has or stands
    for, None where nothing says that."""

    message: str
    codes: tuple[str, ...] = ()
    status: int | None = None

    @property
    def unpaid(self) -> str | None:
        """The code that says that the account cannot pay, None without one."""
        codes = [code for code in self.codes if _key(code) in _CANNOT_PAY_KEYS]
        if codes:
            return codes[0]
        return "402" if self.status == 402 or "402" in self.codes else None

    @property
    def is_transient(self) -> bool:
        """Whether asking again may help, as far as can be known."""
        return self.status is None or is_transient_status(self.status) or not 400 <= self.status < 600

    @property
    def is_overload(self) -> bool:
        """Whether the server asks for fewer requests."""
        return self.status in _OVERLOADED

    @property
    def kind(self) -> FailureKind:
        """What it is recorded as."""
        if self.status == 429:
            return "rate_limited"
        if self.is_transient:
            return "server_error"
        # Usually the key or the model; but gateways also turn a single prompt down in this way.
        return "denied" if self.status in _DENIED else "rejected"


class ErrorInReply(Exception):
    """A 200 that holds an error in place of a reply, or of the rest of one."""

    def __init__(self, error: ServerError) -> None:
        super().__init__(error.message)
        self.error = error


def error_in(value: object, status: int | None = None) -> ServerError | None:
    """The error in the `error` field of a body, None for a field that holds none: it has a message or a code."""
    if isinstance(value, str):
        return ServerError(value, (), status) if value.strip() else None
    if not isinstance(value, dict):
        return None
    fields = cast("Mapping[str, object]", value)
    metadata = fields.get("metadata")
    found = [fields.get(name) for name in ("code", "type", "status", "status_code")]
    if isinstance(metadata, dict):
        found.append(cast("Mapping[str, object]", metadata).get("error_type"))
    codes = tuple(str(code) for code in found if type(code) in (int, str) and str(code).strip() not in ("", "0"))
    message = next((text for name in ("message", "msg", "detail") if isinstance(text := fields.get(name), str)), "")
    if not codes and not message.strip():
        return None
    return ServerError(message or "no message", codes, status or _status(codes))


def _status(codes: tuple[str, ...]) -> int | None:
    for code in codes:
        if code.isascii() and code.isdigit() and len(code) == 3:
            return int(code)
        if _key(code) in _STATUSES:
            return _STATUSES[_key(code)]
    return None
