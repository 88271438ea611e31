"""Tell a webhook how a night ended: one POST of {"text": ...}, which Slack and what is compatible with it take.

Who knows the URL can write there, so it is a secret: it is in no file, no message and no error. It is https, or http to
this machine alone; no redirect is followed. What fails here is a warning: the night has its results all the same.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from evals.errors import BadInput
from evals.text import one_line

VARIABLE = "EMEVAL_WEBHOOK"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")
_TIMEOUT_S = 20.0
_MOST = 3000
"""Characters of a message; Slack shows 4000."""


class Webhook(NamedTuple):
    """Where a night is told; `name` is what may be said of it."""

    url: str
    name: str

    def __repr__(self) -> str:
        return f"Webhook({self.name})"


def webhook_of(url: str) -> Webhook:
    """Raises BadInput, without the URL, for one that a secret must not go to."""
    import httpx2

    try:
        parsed = httpx2.URL(url.strip())
    except (httpx2.InvalidURL, ValueError):
        raise BadInput("--notify: is no URL") from None
    if parsed.host and not _HOST.fullmatch(parsed.host):
        raise BadInput("--notify: is no URL")
    here = parsed.scheme == "http" and parsed.host in _LOOPBACK
    if not parsed.host or (parsed.scheme != "https" and not here):
        raise BadInput("--notify: is no https URL (http goes to this machine alone)")
    if parsed.userinfo:
        raise BadInput("--notify: has a name or password before the @; webhooks have their secret in the path")
    return Webhook(str(parsed), one_line(parsed.host, 100))


def notify(webhook: Webhook, text: str) -> str:
    """Send it, once. What went wrong, "" for nothing; no URL is in it."""
    import httpx2

    here = webhook.url.startswith("http:")
    try:
        # A proxy is for what leaves this machine.
        with (
            httpx2.Client(timeout=_TIMEOUT_S, follow_redirects=False, trust_env=not here) as client,
            client.stream("POST", webhook.url, json={"text": _plain(text)}) as response,
        ):
            status = response.status_code  # the body is not read: it may be endless, and says nothing of use
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
        return f"{webhook.name} could not be told: {type(error).__name__}"
    if 200 <= status < 300:
        return ""
    moved = ", a redirect, which is not followed" if 300 <= status < 400 else ""
    return f"{webhook.name} was not told: it answers with {status}{moved}"


def _plain(text: str) -> str:
    """Text in which no name mentions a channel or makes a link, as Slack asks for."""
    shown = text if len(text) <= _MOST else f"{text[: _MOST - 1]}…"
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
