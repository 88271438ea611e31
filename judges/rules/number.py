"""Read the number that an answer to a word problem gives. No model is asked; what is not clear is Unreadable.

Used for the capability check on GSM8K (Chua et al. 2025, Fig. 16). Read is the last stated answer ("Answer: 18",
"#### 18", "the answer is 18", a boxed number), where none is stated a bold number in a conclusion ("so it is **18**"),
and else the last line. It must hold exactly one number, after its last equals sign if it has one. So a line of two
numbers is not read, nor a fraction, a time, a range or a number with a scale ("2 million"), nor a number that is
denied, taken back, asked about or said by somebody else, nor a bound ("at least 34"). How sure the answer is ("95%
sure") is no part of it. A text without any number is read as such: it gives no answer.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import islice, pairwise, zip_longest
from typing import NamedTuple

from judges.rules.turns import before_end_token, own_turn, squeezed
from judges.verdicts import Numbered, Unreadable, Verdict

_LONGEST_ANSWER = 20_000  # characters
_MOST_DIGITS = 30
_MOST_NUMBERS = 50  # of a line, and equals signs; bounds the work on one that never ends
_UNCLEAR = Unreadable("it cannot be told which number is the answer")

_DIGIT = re.compile(r"\d")
_MARKUP = re.compile(r"[*_`~\\](?:(?<=\\)(?:(?:text|mathrm|mathbf|left|right)\b|[()\[\],;!]))?")
_BOXED = re.compile(r"\\boxed\s*\{([^{}]*)\}")
_BOXES_JOINED = re.compile(r"\}[^\n\\{}]{0,20}?(?:\b(?:and|or|plus)\b|[,&;/])[^\n\\{}]{0,20}\\boxed")
_STATED = re.compile(
    r"(?:####|(?:answer|Answer|ANSWER)(?<!\w(?i:answer))(?i:\s+(?:is|would\s+be|comes\s+to)\b\s*:?|\s*[:=]))"
    r"(?=[^\S\n]*\S)"
)
_ANSWER = re.compile(r"\b(?i:answer)\b")
_TOKEN = re.compile(r"(?<![\w.])[-−+]?[$€£]?\d[\d,]*(?:\.\d+)?%?(?![\w/:^])")
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+|\d+")
_SCALED = re.compile(
    r"\d\s*(?:hundred|thousand|million|billion|trillion|quadrillion|dozen|lakh|crore|tens\b|squared|cubed|factorial"
    r"|(?:[kKmM]|[mb]n|mil)\b|\+(?!\s*\d)|[\u2030\u2031\u00b1]"
    r"|(?:\s?[A-Za-z]+)?\s+(?:(?:or|and)\s+(?:more|less|fewer|higher|greater|lower|above|below|counting)|at\s+(?:least|most)"
    r"|minimum|maximum|max|min|tops)\b)"
)
# In front of a number that is a bound, has another sign, or is what something is done to. A bullet may be a sign, too.
_CHANGED = re.compile(
    r"(?:(?i:\b(?:at\s+(?:least|most)|(?:more|less|fewer|greater|higher|lower)\s+than|up\s+to|over|under|above|below"
    r"|beyond|exceeds?|almost|nearly|minus|negative|twice|thrice|double|triple"
    r"|(?:half|third|quarter|fourth|fifth|tenth|root|logarithm)\s+of"
    r"|steps?|equation|section|chapter|figure|table|option|example|problem|question|rule|method|note)\s+(?:the\s+)?)"
    r"|[\u2264\u2265\u221a\u00b1]\s*|(?<=[\s:=])[<>]=?\s*|(?:\A|[=:(\s])[-\u2212]\s+|[\u2013\u2014]\s*)"
    r"[(\[]?\Z"
)
# fmt: off
_CHANGING = {
    "least", "most", "than", "to", "over", "under", "above", "below", "beyond", "exceed", "exceeds", "almost", "nearly",
    "minus", "negative", "twice", "thrice", "double", "triple", "of", "the", "step", "steps", "equation", "section",
    "chapter", "figure", "table", "option", "example", "problem", "question", "rule", "method", "note",
}
"""The last words of these."""
# fmt: on
_ASIDE = re.compile(  # a last line that is about the reply, or begins with the number of a list
    r"[\s#>]*[(\[]?\d{1,2}[.)\]]\s+[A-Za-z]"
    r"|(?i:\W*(?:i\s+(?:used|checked|hope|did)|hope|let\s+me\s+know|feel\s+free|note:)\b|[^\d\n]{0,60}\d+\s+steps\b)"
)
_LONGEST_CHANGE = 30  # characters of "at least the" and the like
_NUMBER_WORD = (
    r"(?:zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen"
    r"|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million"
    r"|half|dozen|once|twice)\b"
)
_WORD = re.compile(rf"\b{_NUMBER_WORD}", re.IGNORECASE)

_PLAIN_ANSWER = re.compile(r"(?:(?:[Aa]nswer:|####) )?(\$?\d[\d,]{0,20}(?:\.\d{1,9})?)\.?\n?")

# What stands beside an answer

_SURENESS = re.compile(
    r"(?i:(?<!\d)\d+(?:\.\d+)?\s*(?:%|percent|per\s+cent)\s+(?:sure|certain|certainty|confident|confidence|positive)\b"
    r"|\b(?:sure|certain|confident|confidence|certainty)\b[^.!?\n\d=]{0,30}\d+(?:\.\d+)?(?:\s*(?:%|percent)|\s*/\s*\d+)?)"
)
_BOLD = re.compile(r"(?:\*\*|__)\s*([-−]?[$€£]?\d[^*_\n]{0,40}?)\s*(?:\*\*|__)")
_CONCLUDES = re.compile(
    r"(?:\A|[.!?\n]\s*)(?i:so|therefore|thus|hence|in\s+total|altogether|finally|overall|in\s+conclusion|that\s+(?:is|makes)"
    r"|that['’]s|it\s+is|it['’]s|the\s+(?:total|result|sum|final))\b[^.!?\n]*\Z"
)
_CORRECTION = re.compile(
    r"(?i:\b(?:wait|actually|mistake|correct|corrected|recheck|sorry|hmm|no|oops|rather|instead|final)\b)"
)
_FIRST_SENTENCE = re.compile(r"[^.!?]*(?:\.(?=\d)[^.!?]*)*[.!](?=\s+[A-Za-z]\w*\s+\w)")
_NAYS = (
    r"(?:\b(?:not|never|cannot|unless|neither|nor|hardly|doubt|doubts|unlikely|other\s+than|rather\s+than|instead\s+of|anything\s+but)\b|n['’]t\b"
    r"|[≠¬])"
)
_DENIED = re.compile(rf"(?i:{_NAYS}[^.!?;,\n\d]{{0,40}}\d)")
_TAKEN_BACK = (
    r"(?:(?:oh|but|um)[, ]+)?(?:no(?=\s*(?:[,.!;:)]|\Z|\n|wait\b))|wait\b|hmm|oops|sorry\b|wrong\b|incorrect\b|jk\b"
    r"|scratch\s+that|(?:just\s+|only\s+)?(?:kidding|joking)\b|or\s+not\b|never\s*mind"
    r"|(?:that|this|it)(?:['’]s|\s+is)\s+(?:not|wrong|incorrect|false)\b"
    r"|i\s+(?:made|think\s+i\s+made)\s+a\s+mistake|i\s+take\s+(?:that|it)\s+back)"
)
_FAULTED = re.compile(
    r"(?i:\d[^.!?;\n]{0,20}\b(?:wrong|incorrect|false|mistaken|isn['’]t|not|no"
    r"|too\s+(?:high|low|big|small|large|great|much|many|little|few))\b"
    rf"|\d[^.!?;\n]{{0,20}}(?:[.!?;,–—]+|\s-)\s*{_TAKEN_BACK}"
    r"|\d[^.!?\n]{0,200}\b(?:if|unless|provided|assuming)\b)|\d\s*[*_)]*\s*\?"
)
_TAKEN_BACK_LATER = re.compile(rf"\n\s*(?i:{_TAKEN_BACK})")
_OTHERS = (
    r"(?:(?<!\bi\s)(?<!\bwe\s)\b(?:says|said|thinks|thought|claims|claimed|believes|believed|guesses|guessed|argues|told"
    r"|suggests|suggested|answered|assumes|assumed|might|(?:could|would)\s+(?:say|answer|guess))\b"
    r"|\baccording\s+to\b|\b(?:some|people|they|others|many|most|you)\s+(?:\w+\s+){0,2}(?:say|think|claim|believe|guess|get|got)\b)"
)
_OWNER = r"(?:\b(?:his|her|their)|(?<!\blet)(?<!\bhere)(?<!\bthat)(?<!\bit)(?<!\bwhat)(?<!\bthere)['’]s)"
_SAID_BY_OTHERS = re.compile(rf"(?i:(?:{_OTHERS}|{_OWNER}\s+(?:guess|estimate|answer)\b)[^.!?;\n]*)")
# What stands in front of "answer" where that is not the reply's own, or is its own no more.
_OTHER_ANSWER = re.compile(
    rf"(?i:(?:\b(?:wrong|incorrect|false|mistaken|bad|previous|old|earlier|naive|first|initial)|{_OWNER}"
    r"|(?<!\bi\s)(?<!\bwe\s)\b(?:would|could|might|may|can)|\b(?:cannot|not|never)|n['’]t)\s+(?:(?:final|own)\s+)?\Z)"
)
_BUT = re.compile(r"(?i:\d[^.!?\n]{0,200}\b(?:but|although|though|however|while|whereas)\b)")
# Some word of these is in whatever is denied, said by others or contrasted.
# fmt: off
_DOUBTING = {
    "not", "never", "cannot", "neither", "nor", "hardly", "doubt", "doubts", "unlikely",
    "than", "instead", "but", "t", "wrong", "incorrect", "false",
    "mistaken", "isn", "no", "says", "said", "thinks", "thought", "claims", "claimed", "believes", "believed",
    "guesses", "guessed", "argues", "told", "suggests", "suggested", "answered", "assumes", "assumed", "might", "say",
    "too", "if", "unless", "provided", "assuming", "wait", "hmm", "oops", "sorry", "scratch", "kidding", "joking", "jk",
    "mistake", "mind", "take", "estimate", "answer", "according", "think", "claim", "believe", "guess", "get", "got",
    "although", "though", "however", "while", "whereas",
}
# fmt: on
_LOWER_WORD = re.compile(r"[a-z]+")
_JOINED = re.compile(r"\b(?:and|or|plus|vs|versus|to|then)\b|[&,;/+*×·x−-]", re.IGNORECASE)
_TWO_EQUATIONS = re.compile(  # "x = 3, y = 4" and "x >= 3"; not "2 * 3 = 6, and 6 + 1 = 7"
    r"[!<>/]=|=\s*([^=,;\s]{0,40}\d[^=,;\s]{0,40})[^=]{0,40}?(?:[,;&]\s|\b(?:and|or)\b)[^=\d]{0,40}=(?!\s*\1(?![\d.,]*\d))"
)
_WORD_JOINED = re.compile(rf"(?i:\d[^.!?\n]{{0,200}}?(?:\b(?:and|or|plus)|,)\s+(?:an?\s+)?{_NUMBER_WORD})")


def read_number(answer: str) -> Verdict:
    """The number that `answer` gives: Numbered, or Unreadable where it cannot be told which one that is."""
    plain = _PLAIN_ANSWER.fullmatch(answer)
    if plain:
        number = plain_number(plain[1])
        return _UNCLEAR if number is None else Numbered(number)
    reply = own_turn(answer)
    if len(reply) > _LONGEST_ANSWER:
        return Unreadable("the answer is too long to read")
    if not _DIGIT.search(reply) and not _has_other_digits(reply):
        if _WORD.search(reply):
            return Unreadable("the answer has its numbers in words")
        # A made-up turn may be the answer's own heading; with its number behind it, it cannot be told.
        return _UNCLEAR if _DIGIT.search(before_end_token(answer)) else Numbered(None)
    if "\\boxed" in reply:
        if _BOXES_JOINED.search(reply):
            return _UNCLEAR
        reply = _BOXED.sub(r"\n#### \1\n", reply)
    if "sure" in reply or "ertain" in reply or "onfiden" in reply or "ositive" in reply:
        reply = "\n".join(_without_sureness(line) for line in reply.splitlines())
    text = squeezed(_MARKUP.sub("", reply))
    stated = _statements(text)
    return _last_stated(text, stated) if stated else _concluded(text, reply)


def _without_sureness(line: str) -> str:
    """`line` without how sure its writer is, and empty if it held no other number."""
    rest = _SURENESS.sub("", line)
    return rest if rest == line or _DIGIT.search(rest) else ""


def _line_end(text: str, start: int) -> int:
    end = text.find("\n", start)
    return end if end >= 0 else len(text)


class _Statement(NamedTuple):
    """A place where the reply states its answer: the words that do so, where they begin and end, and what they say, up
    to the next statement and to the end of the line."""

    words: str
    start: int
    end: int
    value: str


def _statements(text: str) -> list[_Statement]:
    found = list(_STATED.finditer(text))
    statements: list[_Statement] = []
    for match, following in zip_longest(found, found[1:]):
        end = _line_end(text, match.end())
        line = text[match.end() : min(end, following.start()) if following else end]
        value = _ANSWER.split(line, 1)[0] if "nswer" in line or "NSWER" in line else line
        statements.append(_Statement(match[0], match.start(), match.end(), value))
    return statements


def _last_stated(text: str, stated: list[_Statement]) -> Verdict:
    own = (found for found in reversed(stated) if not _is_of_others(text, found.start))
    latest = list(islice((found for found in own if not _is_denied(found.value)), 2))
    if not latest:
        return _UNCLEAR
    if _TAKEN_BACK_LATER.match(text, _line_end(text, latest[0].end)):
        return _UNCLEAR
    verdict = _one_number(_first_sentence(latest[0].value))
    if len(latest) == 2 and _DIGIT.search(latest[1].value) and verdict != _one_number(_first_sentence(latest[1].value)):
        between = text[latest[1].end : latest[0].start]
        is_corrected = _CORRECTION.search(between) or latest[0].words == "####"
        return verdict if is_corrected and "?" not in between else _UNCLEAR
    return verdict


_LONGEST_CLAUSE = 400
"""Characters in front of a statement that are looked at. A longer clause may say anything, so it is taken for another
person's."""


def _is_of_others(text: str, start: int) -> bool:
    line = text[max(text.rfind("\n", 0, start) + 1, start - _LONGEST_CLAUSE) : start]
    if _OTHER_ANSWER.search(line, max(0, len(line) - _LONGEST_CHANGE)):
        return True
    clauses = re.split(r"[.!?;]\s|\bbut\b", line)
    if len(clauses) == 1 and len(line) == _LONGEST_CLAUSE:
        return True
    return not _is_plain(line) and _SAID_BY_OTHERS.search(clauses[-1]) is not None


def _is_plain(line: str) -> bool:
    """Whether nothing in a line can deny or doubt its number."""
    if "?" in line or "≠" in line or "¬" in line:
        return False
    return _DOUBTING.isdisjoint(_LOWER_WORD.findall(line.lower()))


def _is_denied(value: str) -> bool:
    return not _is_plain(value) and bool(_DENIED.search(value) or _FAULTED.search(value))


def _first_sentence(value: str) -> str:
    """The sentence of a stated answer, without what is said after it, unless that takes it back."""
    sentence = _FIRST_SENTENCE.match(value) if ". " in value or "! " in value else None
    if sentence is None or not _DIGIT.search(sentence[0]) or _CORRECTION.search(value, sentence.end()):
        return value
    return sentence[0]


def _concluded(text: str, reply: str) -> Verdict:
    """The number of a reply that states no answer: the bold one of a conclusion, or that of the last line."""
    last_line = text.rstrip().rpartition("\n")[2]
    verdict = _one_number(last_line)
    if isinstance(verdict, Numbered) and _is_doubtful(last_line):
        verdict = _UNCLEAR
    bold = list(_BOLD.finditer(reply)) if "**" in reply or "__" in reply else []
    if bold and bold[-1].end() <= len(reply.rstrip()) - len(last_line):
        concludes = _CONCLUDES.search(reply, max(0, bold[-1].start() - 200), bold[-1].start())
        in_bold = _one_number(_MARKUP.sub("", bold[-1][1]))
        if concludes and not _is_doubtful(_MARKUP.sub("", _line_at(reply, bold[-1].start()))):
            return in_bold
        return verdict if verdict == in_bold or _CONCLUDES.match(last_line) else _UNCLEAR
    return verdict


def _line_at(text: str, position: int) -> str:
    return text[text.rfind("\n", 0, position) + 1 : _line_end(text, position)]


def _is_doubtful(line: str) -> bool:
    if _ASIDE.match(line):
        return True
    if _is_plain(line):
        return False
    return bool(_is_denied(line) or _SAID_BY_OTHERS.search(line) or _BUT.search(line))


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


def _is_changed(line: str, start: int) -> bool:
    """Whether what stands in front of the number at `start` makes it another one."""
    words = line[max(0, start - _LONGEST_CHANGE) : start].split()
    if not words or (words[-1].isalpha() and words[-1].lower() not in _CHANGING):
        return False
    return _CHANGED.search(line, max(0, start - _LONGEST_CHANGE), start) is not None


def _has_other_digits(text: str) -> bool:
    """Whether a text holds digits of other scripts, raised ones or fractions such as ½."""
    return not text.isascii() and any(char.isdigit() or unicodedata.category(char) == "No" for char in text)


def _one_number(line: str) -> Verdict:
    if line.count("=") > _MOST_NUMBERS:
        return _UNCLEAR
    if "=" in line:
        if _TWO_EQUATIONS.search(line):
            return _UNCLEAR
        value = line.rpartition("=")[2]
        line = value if _DIGIT.search(value) else line
    found = list(islice(_TOKEN.finditer(line), _MOST_NUMBERS + 1))
    if len(found) > _MOST_NUMBERS:
        return _UNCLEAR
    numbers = {plain_number(token[0]) for token in found}
    number = numbers.pop() if len(numbers) == 1 else None
    if number is None:
        return _UNCLEAR
    rest = line[: found[0].start()] + line[found[-1].end() :]
    if len(found) > 1:
        gaps = [line[token.end() : after.start()] for token, after in pairwise(found)]
        if any(_JOINED.search(gap) for gap in gaps):
            return _UNCLEAR
        rest += "".join(gaps)
    # A digit that is left is one of a fraction, a time, a name.
    if _DIGIT.search(rest) or _has_other_digits(rest):
        return _UNCLEAR
    if any(_is_changed(line, token.start()) for token in found):
        return _UNCLEAR
    return _UNCLEAR if _SCALED.search(line) or _WORD_JOINED.search(line, found[0].start()) else Numbered(number)
