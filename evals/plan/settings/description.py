"""The description of each setting: its text, the kind of its value, its range, its default."""

from __future__ import annotations

import types
from collections.abc import Iterable
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic.fields import FieldInfo

from evals.plan.settings.run_settings import SETTINGS, RunSettings
from evals.plan.settings.setting import SCOPES, Setting

Held = Literal["value", "tuple", "mapping", "either"]


class Description(NamedTuple):
    """A setting for people.

    Args:
        name: The field.
        setting: How it is given.
        text: What it means; other settings stand in backticks.
        kind: The type of one value: bool, int, float or str.
        takes_numbers: Whether a value of kind str may be a number as well.
        choices: All values that there are, if they are a few words.
        held: The type of the field: one value, a tuple, a mapping by name, or one value or such a mapping (either).
        limits: The range, such as "0 to 2"; "" if it has no upper end.
        default: The default, such as "64" or "on"; "" if there is none, or the text says it.
    """

    name: str
    setting: Setting
    text: str
    kind: type
    takes_numbers: bool
    choices: tuple[str, ...]
    held: Held
    limits: str
    default: str

    @property
    def notes(self) -> str:
        """Range and default in brackets, "" if there is neither."""
        parts = [self.limits, f"default: {self.default}" if self.default else ""]
        return "; ".join(filter(None, parts)).join("[]") if any(parts) else ""


def described(command: str = "run") -> tuple[Description, ...]:
    """The settings that a command takes, in the order of their declaration; see SCOPES."""
    taken = SCOPES[command]
    return tuple(describe(name) for name, setting in SETTINGS.items() if setting.scope in taken)


def describe(name: str) -> Description:
    field = RunSettings.model_fields[name]
    held, value = _held(_without_none(field.annotation))
    choices = tuple(map(str, get_args(value))) if get_origin(value) is Literal else ()
    return Description(
        name=name,
        setting=SETTINGS[name],
        text=field.description or "",
        kind=str if choices or held == "either" or get_origin(_plain(value)) is tuple else _plain(value),
        takes_numbers={str, float} <= set(get_args(field.annotation)),
        choices=choices,
        held=held,
        limits=_limits(field.metadata),
        default=_default(field),
    )


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, types.UnionType):
        members = [member for member in get_args(annotation) if member is not type(None)]
        return annotation if any(get_origin(member) is dict for member in members[1:]) else members[0]
    return annotation


def _held(annotation: Any) -> tuple[Held, Any]:
    """How the field holds its values, and what one of them is."""
    if get_origin(annotation) in (Union, types.UnionType):
        return "either", get_args(annotation)[0]
    if get_origin(annotation) is tuple:
        return "tuple", get_args(annotation)[0]
    if get_origin(annotation) is dict:
        return "mapping", get_args(annotation)[1]
    return "value", annotation


def _plain(annotation: Any) -> type:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _limits(metadata: Iterable[object]) -> str:
    """The range, if it has both ends; that a count is not negative goes without saying."""
    low = next((note.ge for note in metadata if isinstance(note, Ge)), None)
    above = next((note.gt for note in metadata if isinstance(note, Gt)), None)
    high = next((note.le for note in metadata if isinstance(note, Le)), None)
    if high is None or (low is None and above is None):
        return ""
    return f"above {above}, up to {high}" if low is None else f"{low} to {high}"


def _default(field: FieldInfo) -> str:
    value: object = field.default
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, str):
        return value
    return f"{value:g}" if isinstance(value, int | float) else ""
