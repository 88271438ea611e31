"""Text that came from a model or a server, made safe for a terminal, a spreadsheet and an error line."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path

_SPACES = re.compile(r"\s+")
_LINE_END = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_JOINERS = "\u200c\u200d"
_NOT_PLAIN = re.compile(r"[^\n -~]")
# As OWASP lists them ("CSV Injection"), the full-width forms included; and ' itself, so that it can be taken away.
_FORMULA = "=+\\-@\t\r＝＋－＠'"
_FORMULA_START = re.compile(f"[{_FORMULA}\n]")
_RARE_LINE_ENDS = "\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
_FORMULA_AFTER_FEED = re.compile(f"\n(?=[{_FORMULA}])")  # found fast, as nearly every text has no rare line end
_FORMULA_LINE = re.compile(f"([\n{_RARE_LINE_ENDS}])(?=[{_FORMULA}])")
_ESCAPED_START = re.compile(f"'(?=[{_FORMULA}\n])")
_ESCAPED_LINE = re.compile(f"([\n{_RARE_LINE_ENDS}])'(?=[{_FORMULA}])")


def one_line(text: str, limit: int = 300) -> str:
    """`text` on one line without control, format or unassigned characters, cut to `limit`."""
    flat = _SPACES.sub(" ", text)
    clean = flat  # what is printable has none of these, and that is found out faster
    if not flat.isprintable():
        clean = "".join(char for char in flat if unicodedata.category(char) not in ("Cc", "Cf", "Cn", "Cs", "Co"))
    clean = _SPACES.sub(" ", clean).strip()  # what stood between two spaces may be gone
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def and_more(names: Sequence[str]) -> str:
    """Up to three names, or two and the number of the others."""
    shown = names if len(names) <= 3 else names[:2]
    return ", ".join(shown) + (f" and {len(names) - 2:,} more" if len(names) > 3 else "")


def capitalized(text: str) -> str:
    """`text` with its first letter as a capital, the others as they are."""
    return f"{text[:1].upper()}{text[1:]}"


def printable(text: str) -> str:
    """`text` with its lines, and without anything that a terminal or a pager acts on.

    Every other control character, direction mark, lone surrogate and private character is written out (`\\x1b`,
    `\\u202e`), so that a reader sees that it is there. The two joiners that scripts need stay as they are.
    """
    text = _LINE_END.sub("\n", text).expandtabs(4)
    return _NOT_PLAIN.sub(lambda found: _written_out(found[0]), text)


def _written_out(char: str) -> str:
    if char in _JOINERS or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co"):
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 1 << 16 else f"\\U{code:08x}"


def shown_path(path: object) -> str:
    """A path for a line of output: on one line, and without what a terminal acts on."""
    return printable(str(path)).replace("\n", "\\n")


def quoted_path(path: object) -> str:
    """A path as a word of a command that a shell reads back, on one line whatever it holds."""
    text = str(path)
    if text.isprintable():
        return shlex.quote(text)
    written = (repr(char)[1:-1] if not char.isprintable() or char in "\\'" else char for char in text)
    return f"$'{''.join(written)}'"


def program() -> str:
    """This program as a word of a command: `emeval`, or the path it was called by where the shell would not find it."""
    called = Path(sys.argv[0])
    if called.name != "emeval":  # a test, a notebook, `python -m evals`
        return "emeval"
    found = shutil.which("emeval")
    is_found = found is not None and Path(found).resolve() == called.resolve()
    return "emeval" if is_found else quoted_path(called)


def install_extra(extra: str) -> str:
    """The command that installs the packages of one of emeval's extras, by their own names, for a checkout as well."""
    from importlib.metadata import PackageNotFoundError, requires

    try:
        declared = requires("emeval") or []
    except PackageNotFoundError:  # the source folder on PYTHONPATH
        return f"pip install '.[{extra}]'"
    split = [line.partition(";") for line in declared]
    names = [name.strip() for name, _, marker in split if re.fullmatch(rf"\s*extra == ['\"]{extra}['\"]\s*", marker)]
    return f"pip install {shlex.join(names)}"


def spreadsheet_safe(text: str) -> str:
    """`text` as a CSV cell that no spreadsheet runs as a formula, nor a line of it that it makes a cell.

    A cell, and a line within it, that begins with one of = + - @ (full-width too), a tab, a carriage return or ' gets
    one ' in front; so does a cell that begins with a line feed. `original_text` takes them away. The journal keeps the
    exact text.
    """
    if text.isprintable():  # one line without a NUL; this is far faster than a search
        return f"'{text}" if _FORMULA_START.match(text) else text
    text = text.replace("\0", "")  # no CSV reader takes it
    is_plain = not _FORMULA_AFTER_FEED.search(text) and not any(end in text for end in _RARE_LINE_ENDS)
    escaped = text if is_plain else _FORMULA_LINE.sub(r"\1'", text)
    return f"'{escaped}" if _FORMULA_START.match(text) else escaped


def original_text(cell: str) -> str:
    """The text that `spreadsheet_safe` made `cell` from."""
    if "'" not in cell:
        return cell
    lines = _ESCAPED_LINE.sub(r"\1", cell)
    return lines[1:] if _ESCAPED_START.match(cell) else lines


def redact(text: str, secret: str) -> str:
    """`text` without `secret`, in case a server echoes the key that it was given."""
    return text.replace(secret, "[key]") if len(secret) >= 4 else text


def is_text(text: str) -> bool:
    """Whether `text` can be written as UTF-8: an argument that was not holds half characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def well_formed(text: str) -> str:
    """`text` with U+FFFD for each half of a surrogate pair, so that it can be written as UTF-8."""
    return _SURROGATE.sub("\ufffd", text)


def has_control_character(text: str) -> bool:
    """Whether `text` holds a control character; every line end and the tab are some."""
    return any(unicodedata.category(char) in ("Cc", "Zl", "Zp") for char in text)


def dashed(field: str) -> str:
    """A field as an option of the same name: `--no-repeat` for no_repeat."""
    return f"--{field.replace('_', '-')}"
