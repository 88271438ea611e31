"""What a judge prompt asks its judge to reply: which labels, a number, a few words, or something that is none of these.

Labels are read where a prompt tells its judge what to say: behind a verb such as answer, say or classify, in quotes, in
capitals or as a list with "or", or as a list of categories. A list of this kind is closed: nothing else is asked for.
Labels that are only given for a case ("say NONE if there is none") leave the others open where the prompt asks for a
name or a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from judges.parsing.category import MOST_CHARACTERS, MOST_WORDS, AskedLabels, normal_label


class _Chain(NamedTuple):
    """Labels that one sentence offers together; `conditional` ones are each given for a case."""

    place: int
    labels: tuple[str, ...]
    conditional: bool


_LONGEST_PROMPT, _LONGEST_SENTENCE = 30_000, 600
"""How many characters are read, which bounds the time that a hostile file can take."""
_OUTCOMES = frozenset({"code", "refusal"})
"""Words of this format that are outcomes, unless a list offers them beside labels."""
_MARKERS = re.compile(r"\[[^\[\]\n,/|]{0,60}\]|\{[^{}\n]{0,60}\}|</?[A-Za-z_]{1,30}>")
_SENTENCE = re.compile(r"[^\n.!?]+(?:[.!?](?=\S)[^\n.!?]+)*")
_QUOTED = r'"[^"\n]{1,60}"|“[^”\n]{1,60}”|`[^`\n]{1,60}`|\*\*[^*\n]{1,60}\*\*|(?<!\w)[\'‘][^\'’\n]{1,60}[\'’](?!\w)'
_CAPS_WORD = (
    r"(?!(?:OR|AND|ONLY|NOT|MUST|NEVER|EITHER|WITH|IF|WHEN|FOR|IN|THE|START|END|BEGIN|STOP|JSON|XML|ANSWER|QUESTION|"
    r"NOTHING|ELSE|WORD|EXACTLY|ONE|OF)\b)[A-Z][A-Z0-9]*(?:[_-][A-Z0-9]+)*\b(?![a-z'’])"
)
_CAPS = rf"\b{_CAPS_WORD}(?: {_CAPS_WORD}){{0,2}}"
_DIGIT = r"(?<![\w.])\d{1,2}(?![\w%]|\.\d| ?(?:-|–|to\b))"
_ITEM = rf"(?P<quoted>{_QUOTED})|(?P<caps>{_CAPS})|(?P<digit>{_DIGIT})"
_VERB = (
    r"\b(?i:(?:answer|respond|reply|say|state|return|output|print|write|choose|select|pick|use|give|tell|rate|grade|"
    r"judge|classif(?:y|ied)|categori[sz]ed?|label(?:l?ed)?|mark(?:ed)?|answering|responding|replying|saying)\b"
    r"(?:(?: [\w'’-]+){1,4}? (?:as|into)\b)?|(?:must|should|shall) be\b)"
)
_FILLER_WORD = (
    r"(?:(?i:with|only|either|just|using|simply|the|this|words?|single|labels?|letters?|category|categories|class|"
    r"exactly|one|of|these|following|options?|as|by|it|them|answer|response|reply|output|verdict|text|message|me|from|"
    r"between|among|your|to|be|should|must|being|if|whether|is|in|or)|an?)\b\*{0,2}"
)
_FILLER = rf"(?:[\s,:(\[*]{{1,4}}{_FILLER_WORD}){{0,10}}[\s:(\[,*]{{0,4}}"
_OPENING = re.compile(rf"{_VERB}{_FILLER}?(?:{_ITEM})")
_NEXT = re.compile(
    rf"(?P<gap>[^\n]*?)(?P<mark>[,;/|(]|\b(?i:or|and|otherwise|else)\b)\s*(?i:(?:(?:or|and|otherwise|else|just|with|say|"
    rf"reply|answer|respond|either|the|word)\b,?\s*)*)(?:{_ITEM})"
)
_NEGATED = re.compile(r"(?i:\b(?:do not|don't|don’t|never|not|cannot|without)(?:\s+\w+)?\s*)$")
_CASE = re.compile(
    r"\s*(?:\([^()]*\)\s*)?(?i:,?\s*(?:only )?(?:if|when|where|for|in case|unless|means?|to mean)\b)|\s*[=:]"
)
_OF_SOMETHING = re.compile(r" of\b")
_BARE = r"[A-Za-z][\w'’-]*(?: [a-z][\w'’-]*)?"
_LEAD = (
    r"(?i:\b(?:one of|one|from|options?|labels?|categories|classes|choices|values|words|answers|replies|only|with)\b"
    r"[^:\n]{0,40}:)"
)
_LIST = re.compile(
    rf"{_VERB}{_FILLER}(?P<items>{_BARE}(?:\s?[,/|]\s?(?!or\b|and\b){_BARE}){{0,30}}\s?,?\s?(?:\b(?:or|and)\b|/)\s?{_BARE})"
    r"(?=\s?(?:[.,;:)!?(\]—]|$|only\b|if\b|for\b|depending\b|based\b|and nothing\b|without\b))"
)
_COLON_LIST = re.compile(rf"{_LEAD}\s?(?P<items>[^\s:][^\n:]*)$")
_GENERIC_WORDS = """
    a an any word words phrase sentence sentences number numbers name names letter digit line lines score rating two
    three less more fewer few it this that them answer response question paragraph explanation reason json text not
    things so the model
"""
_GENERIC = frozenset(re.findall(r"\w+", _GENERIC_WORDS))
"""What a list in a prompt can name that is no label: "a word or a phrase"."""
_YES_NO = re.compile(r"\b(?i:yes)\b[\"'”*]{0,3}\s*(?:/|\bor\b|,)\s*[\"'“*]{0,3}(?i:no)\b", re.IGNORECASE)
_BULLET = re.compile(
    rf"[ \t]*(?:[-*•]|\d{{1,2}}[.)]|\(?[a-zA-Z][.)])[ \t]+(?P<item>{_QUOTED}|[A-Za-z][\w'’/-]*(?: [\w'’/-]+){{0,3}})\s*"
    r"(?::|\s[-–—=]|=|\(|$)"
)
_BULLET_LEAD = re.compile(r"(?i:categor|classif|\blabels?\b|\bclass(?:es)?\b|one of the following|following options)")
_ASKS_A_NUMBER = re.compile(
    r"(?i:\b(?:numbers?|numeric|integer|scores?|rate|rating|scale|percent(?:age)?|probability|digits?|grade|points?|"
    r"how (?:many|much|likely))\b)|\b100\b|%"
)
_ASKS_A_WORD = re.compile(
    r"(?i:\b(?:(?:one|single|two|three|few)[- ](?:or two )?words?|one of|category|categories|categori[sz]e|classify|"
    r"labels?|name only|only the name|name of|(?:just|only) (?:the|a|with)|nothing else|short answer|briefly|"
    r"word only|only a word|the word|a word|a name|words? only)\b)"
)
_ASKS = re.compile(r"\?|(?i:\b(?:which|what|who|whether|where|when|name|identify|extract)\b)")
_ASKS_PROSE = re.compile(
    r"(?i:\b(?:explain|describe|summari[sz]e|discuss|elaborate|essay|paragraphs?|sentences?|in detail|step by step|"
    r"justify|critique|critici[sz]e|rewrite|translate|json|why)\b)"
)
_TRUE_FALSE_WORDS = re.compile(
    r"\b(?:TRUE|FALSE)\b|[\"'“`](?i:true|false)\b|\b(?i:true\W{0,3}(?:/|,|\bor\b)\W{0,3}false)\b"
)


def asked_labels(template: str) -> AskedLabels:
    """The labels that a judge prompt names."""
    text = _MARKERS.sub(" ", template.replace("{{", "").replace("}}", ""))[:_LONGEST_PROMPT]
    sentences = (found for found in _SENTENCE.finditer(text) if len(found.group()) <= _LONGEST_SENTENCE)
    chains = sorted({chain for sentence in sentences for chain in _chains(sentence)})
    if not any(len(chain.labels) > 1 and not chain.conditional for chain in chains):
        chains = sorted([*_yes_no(text), *_bulleted(text), *chains])
    offered = [chain for chain in chains if set(chain.labels) - _OUTCOMES]
    labels = tuple(dict.fromkeys(label for chain in offered for label in chain.labels))
    listed = any(len(chain.labels) > 1 and not chain.conditional for chain in offered)
    return AskedLabels(labels, listed or (len(labels) > 1 and not _ASKS.search(text)))


def asks_true_or_false(template: str) -> bool:
    """Whether TRUE or FALSE are words of the reply, rather than of a sentence."""
    return _TRUE_FALSE_WORDS.search(template) is not None


def asks_a_number(template: str) -> bool:
    """Whether a number can be expected as the reply."""
    return _ASKS_A_NUMBER.search(_MARKERS.sub(" ", template)) is not None


def asks_a_word(template: str) -> bool:
    """Whether a prompt says that a few words are the reply."""
    return _ASKS_A_WORD.search(_MARKERS.sub(" ", template)) is not None


def asks_words(template: str) -> bool:
    """Whether a few words can be expected as the reply: they are asked for, or a question is, and no prose."""
    text = _MARKERS.sub(" ", template)
    return asks_a_word(text) or (_ASKS.search(text) is not None and not _ASKS_PROSE.search(text))


def _chains(sentence: re.Match[str]) -> Iterator[_Chain]:
    text, start = sentence.group(), sentence.start()
    found = False
    for opening in _OPENING.finditer(text):
        if _NEGATED.search(text[: opening.start()]):
            continue
        chain = _chain(text, opening, start)
        if chain is not None:
            found = True
            yield chain
    for listed in () if found else (*_LIST.finditer(text), *_COLON_LIST.finditer(text)):
        labels = _split(listed.group("items"))
        if labels and not _NEGATED.search(text[: listed.start()]):
            yield _Chain(start + listed.start("items"), labels, conditional=False)


def _chain(text: str, opening: re.Match[str], start: int) -> _Chain | None:
    """The labels from the first one on, joined by commas, "or", "otherwise"; None where that is no label."""
    style = opening.lastgroup
    items = [_item(opening)]
    first_end = end = opening.end()
    conditional = _CASE.match(text, end) is not None
    while following := _NEXT.match(text, end):
        if following.lastgroup != style and following.group("gap").strip():
            break
        items.append(_item(following))
        end = following.end()
        conditional = conditional and following.group("mark").lower() not in ("otherwise", "else")
    if len(items) == 1 and (style == "digit" or len(items[0]) == 1):
        return None  # a number or an article
    if len(items) == 1 and _OF_SOMETHING.match(text, end):
        return None  # a part of what is judged, as in "judge the **content** of the answer"
    labels = tuple(label for label in map(_label, items) if label)
    if not labels or (style != "quoted" and set(labels) <= _GENERIC):
        return None
    is_case = conditional and not re.search(r"(?i:\b(?:otherwise|else)\b)", text[first_end:])
    return _Chain(start + opening.start(), labels, is_case or len(labels) == 1)


def _item(match: re.Match[str]) -> str:
    return match.group("quoted") or match.group("caps") or match.group("digit") or ""


def _label(text: str) -> str:
    label = normal_label(text)
    return label if len(label) <= MOST_CHARACTERS and len(label.split(" ")) <= MOST_WORDS else ""


def _split(items: str) -> tuple[str, ...]:
    """The labels in a list of plain words, () for a list of other things."""
    parts = [part.strip() for part in re.split(r"\s*(?:[,/|;]|\bor\b|\band\b)\s*", items) if part.strip(" .")]
    labels = tuple(map(_label, parts))
    if len(labels) < 2 or not all(labels) or set(labels) & _GENERIC:
        return ()
    return labels if all(len(label.split(" ")) <= MOST_WORDS - 1 for label in labels) else ()


def _yes_no(text: str) -> Iterator[_Chain]:
    for found in _YES_NO.finditer(text):
        yield _Chain(found.start(), ("yes", "no"), conditional=False)


def _bulleted(text: str) -> Iterator[_Chain]:
    """A block of at least two lines that each begin with a label, where the prompt speaks of categories."""
    if not _BULLET_LEAD.search(text):
        return
    place, labels = 0, list[str]()
    offset = 0
    for line in text.splitlines(keepends=True):
        bullet = _BULLET.match(line.rstrip())
        if bullet is not None and (label := _label(bullet.group("item"))) and label not in _GENERIC:
            place = place if labels else offset
            labels.append(label)
        offset += len(line)
    if len(labels) > 1:
        yield _Chain(place, tuple(dict.fromkeys(labels)), conditional=False)
