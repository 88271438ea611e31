"""The list of models that a server keeps, read from the reply to /models."""

from __future__ import annotations

from typing import NamedTuple, cast

from evals.endpoints.transport.reply_json import MAX_MODELS, Unparsable, check_length, parsed_json


class Listed(NamedTuple):
    """What a server (vLLM) says of a model that it lists, as far as it does: the base of an adapter, the context length
    in tokens, and where its files come from."""

    parent: str | None = None
    context: int | None = None
    root: str | None = None


def read_models(body: str) -> dict[str, Listed]:
    """The ids in a list of models, each with what the server says of it.

    The list may stand alone, as at Together. An entry without an id is left out. Raises Unparsable and TooLarge.
    """
    value = parsed_json(body)
    entries = cast("dict[str, object]", value).get("data") if isinstance(value, dict) else value
    if not isinstance(entries, list):
        raise Unparsable
    check_length(cast("object", entries), MAX_MODELS, "models")
    listed = cast("list[object]", entries)
    models = dict(filter(None, map(_model, listed)))
    if listed and not models:
        raise Unparsable
    return models


def _model(entry: object) -> tuple[str, Listed] | None:
    if not isinstance(entry, dict):
        return None
    fields = cast("dict[str, object]", entry)
    name, parent, context = fields.get("id"), fields.get("parent"), fields.get("max_model_len")
    root = fields.get("root")
    if not isinstance(name, str) or not name:
        return None
    return name, Listed(
        parent if isinstance(parent, str) and parent else None,
        context if isinstance(context, int) and not isinstance(context, bool) else None,
        root if isinstance(root, str) and root else None,
    )
