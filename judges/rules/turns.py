"""Where a reply ends. What follows the end of its turn was not said in it, and is not read.

A server that does not stop at the end of a turn returns the token that marks it, and what the model made up after it:
the next question, its answer, another text. Where the tokens are left out of the text, a line such as "Human:" or
"Question:" begins the next turn. Wrappings of an answer, such as the box of GLM, end nothing.
"""

from __future__ import annotations

import re

# Special tokens of the model families. Any word between "<|" and "|>" is one, or between the full-width bars of
# DeepSeek; those that stand before an answer are left out.
_TOKEN = re.compile(
    r"<\|(?!(?:begin_of_text|startoftext|START_RESPONSE)\|>)[^\s<>|]{1,40}(?:\|>|\Z)|<[|｜]\Z"
    r"|<｜(?!begin▁of▁sentence)[^<>｜]{1,40}(?:｜>|\Z)"
    r"|<\|?turn\|?>|<(?:start|end)_of_turn>|</s>|<[|/]?(?:eos|eot|eod|eoa|eoh|eom|sep)>"
    r"|<end_of_utterance>|<EOS_TOKEN>|<seed:[be]os>|</?role>|<(?:SPECIAL_|extra_id_)\d{1,3}>"
    r"|\[/?INST\]|\[EO[ST]\]|\[/?SYSTEM_PROMPT\]|\[\|[a-z]{1,20}\|\]|\[e~\[|\]~!?b\[|\]~b\]|\[end of text\]",
    re.IGNORECASE,
)
_WRAPPING = re.compile(r"<\|(?:begin|end)_of_box\|>|<\|(?:begin_of_text|startoftext|START_RESPONSE)\|>")

_ROLE = r"(?:user|human|assistant|system|question|prompt|problem|instruction|example|exercise)"
_LINE_OF_A_TURN = re.compile(
    rf"\n[ \t>*_#]{{0,9}}(?:(?:next|new|another)\s)?(?:{_ROLE}(?:\s+(?:no\.\s*)?\d{{1,3}})?|q\d{{0,3}})[*_]{{0,3}}\s?:"
    r"|\n#{1,6}\s*(?:user|human|instruction|question)s?\b[^\n]{0,5}(?:\n|\Z)"
    r"|\n(?:user|assistant|model|human)[ \t]*(?:\n|\Z)",
    re.IGNORECASE,
)
# It begins with the letters that are looked for, because spaces are everywhere.
_TURN_IN_A_LINE = re.compile(
    r"[QHUA](?<=[ \t].)(?:(?<=Q)uestion|(?<=H)(?:uman|UMAN)|(?<=U)(?:ser|SER)|(?<=A)(?:ssistant|SSISTANT))"
    r"(?:[ \t]\d{1,3})?:(?:\s|\Z)"
)
_ROLE_LEFT_OVER = re.compile(r"assistant(?<=[^\s*_#]assistant)[ \t]*\n")  # of "...<end><start>assistant\n..."


_SPACES = re.compile(r"[^\S\n]{2,}")
_BLANK_LINES = re.compile(r"\n(?:[^\S\n]?\n){2,}")
_OTHER_SPACES = "\t\r\v\f\x1c\x1d\x1e\x1f"
_SHORT = 200  # characters; no run of spaces in them costs much


def squeezed(text: str) -> str:
    """`text` with one space for each run of spaces, and at most one blank line in a row.

    What looks for words with spaces between them then takes time linear in the text, however much space it holds.
    """
    if len(text) < _SHORT:
        return text
    if "  " in text or not text.isascii() or any(space in text for space in _OTHER_SPACES):
        text = _SPACES.sub(" ", text)
    return _BLANK_LINES.sub("\n\n", text)


def own_turn(reply: str) -> str:
    """`reply` up to the end of its turn, without the wrappings of an answer."""
    text = before_end_token(reply)
    start = len(text) - len(text.lstrip()) if text[:1].isspace() else 0
    if "\n" in text:
        text = _up_to(text, _LINE_OF_A_TURN.search(text, start))
        if "assistant" in text:
            text = _up_to(text, _ROLE_LEFT_OVER.search(text, start))
    return _up_to(text, _TURN_IN_A_LINE.search(text, start + 1)) if ":" in text else text


def _up_to(text: str, end: re.Match[str] | None) -> str:
    return text[: end.start()] if end else text


def before_end_token(reply: str) -> str:
    """`reply` up to the first token that ends a turn or begins another, without the wrappings of an answer."""
    if "<" not in reply and "[" not in reply and "]" not in reply:
        return reply
    reply = _WRAPPING.sub(" ", reply)
    token = _TOKEN.search(reply)
    return reply[: token.start()] if token else reply
