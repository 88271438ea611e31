"""Read the number that an answer to a word problem gives. No model is asked; what is not clear is Unreadable.

Used for the capability check on GSM8K (Chua et al. 2025, Fig. 16). Read is the last stated answer ("Answer: 18",
"#### 18", "the answer is 18", a boxed number), and where none is stated the last line. Either must hold exactly one
number, after its last equals sign if it has one. So a line of two numbers is not read, nor a fraction, a time, a range
or a number with a scale ("2 million"). A text without any number is read as such: it gives no answer.
"""

from __future__ import annotations

import re

from judges.verdicts import Numbered, Unreadable, Verdict

_LONGEST_ANSWER = 20_000  # characters
_MOST_DIGITS = 30

_MARKUP = re.compile(r"\\(?:text|mathrm|mathbf|left|right)\b|\\[()\[\],;!]|[*_`~\\]")
_BOXED = re.compile(r"\\boxed\s*\{([^{}]*)\}")
_STATED = re.compile(
    r"(?:####|\banswer(?:\s+(?:is|would\s+be|comes\s+to)\b\s*:?|\s*[:=]))((?:(?!\banswer\b).)*)", re.IGNORECASE
)
_TOKEN = re.compile(r"(?<![\w.])[-−+]?[$€£]?\d[\d,]*(?:\.\d+)?%?(?![\w/:^])")
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+|\d+")
_SCALED = re.compile(r"\d\s*(?:hundred|thousand|million|billion|trillion|dozen|[kKmM]\b)")
_WORD = re.compile(
    r"\b(?:zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen"
    r"|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million"
    r"|half|dozen|once|twice)\b",
    re.IGNORECASE,
)


def read_number(answer: str) -> Verdict:
    """The number that `answer` gives: Numbered, or Unreadable where it cannot be told which one that is."""
    if len(answer) > _LONGEST_ANSWER:
        return Unreadable("the answer is too long to read")
    text = _MARKUP.sub("", _BOXED.sub(r"\n#### \1\n", answer))
    if not any(char.isdigit() for char in text):
        return Unreadable("the answer has its numbers in words") if _WORD.search(text) else Numbered(None)
    lines = [line for line in text.splitlines() if line.strip()]
    stated = [match[1] for line in lines for match in _STATED.finditer(line) if match[1].strip()]
    return _one_number(stated[-1] if stated else lines[-1])


def plain_number(text: str) -> str | None:
    """`text` as one number in its plainest form ("$1,250.00" is "1250"), None where it is something else."""
    token = text.strip().rstrip("%")
    sign = "-" if token[:1] in ("-", "−") else ""
    token = token.lstrip("-−+").lstrip("$€£")
    whole, point, decimals = token.partition(".")
    plain = token.isascii() and _GROUPED.fullmatch(whole) and (decimals.isdigit() if point else True)
    if not plain or len(token) > _MOST_DIGITS:
        return None
    whole, decimals = whole.replace(",", "").lstrip("0") or "0", decimals.rstrip("0")
    number = f"{whole}.{decimals}" if decimals else whole
    return number if number == "0" else f"{sign}{number}"


def _one_number(line: str) -> Verdict:
    line = line.rpartition("=")[2] if any(char.isdigit() for char in line.rpartition("=")[2]) else line
    tokens = _TOKEN.findall(line)
    numbers = {plain_number(token) for token in tokens}
    left = any(char.isdigit() for char in _TOKEN.sub("", line))  # in a fraction, a time, a name
    number = numbers.pop() if len(numbers) == 1 and not left and not _SCALED.search(line) else None
    return Unreadable("it cannot be told which number is the answer") if number is None else Numbered(number)
