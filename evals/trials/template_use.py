"""Whether the templates of a run do something to its prompts: a condition that sends what the baseline sends would
measure an effect of nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from evals.errors import BadInput
from evals.text import one_line
from evals.trials.condition import Template, render
from evals.trials.prompt import Prompt, has_system
from evals.trials.trial import Sampling, sampling_under


def check_templates(
    prompts: Iterable[Prompt],
    conditions: Callable[[str], Sequence[str]],
    templates: Mapping[str, Template],
    sampling: Sampling,
) -> None:
    """Raises BadInput for a condition that is to be worded by hand and is not, for one that changes no prompt of a
    suite, and for examples that hold the question itself. `conditions` gives those of a suite."""
    changes: dict[tuple[str, str, str], bool] = {}
    examples = {
        name: frozenset(turn.content.strip() for turn in template.examples if turn.role == "user")
        for name, template in templates.items()
    }
    for prompt in prompts:
        for name in conditions(prompt.suite):
            template = templates.get(name)
            if template is None:
                continue
            if template.is_by_hand and name not in dict(prompt.wordings):
                raise BadInput(
                    f"--conditions: {name} has no system, prefix or suffix, and {one_line(prompt.id, 60)!r} of "
                    f"{prompt.suite} has no wording of that name"
                )
            if prompt.messages[-1].content.strip() in examples[name]:
                raise BadInput(
                    f"shots: {one_line(prompt.id, 60)!r} of {prompt.suite} is the question of an example, whose answer "
                    "the model would be shown; take it out of the file"
                )
            place = (prompt.suite, prompt.format, name)
            changes[place] = changes.get(place, False) or _changes(prompt, name, templates, sampling)
    for (suite, form, name), changed in changes.items():
        if not changed:
            raise BadInput(
                f"--conditions: {name} sends every prompt of {suite} ({form}) as off does, so it would measure the "
                "effect of nothing; leave the condition or the format out"
            )


def _changes(prompt: Prompt, name: str, templates: Mapping[str, Template], sampling: Sampling) -> bool:
    """Whether a model is sent something else under the condition than under `off`."""
    rendered = render(prompt, name, None, 0, 0, templates).messages
    if rendered != prompt.messages:
        return True
    if prompt.format == "transcript" or has_system(rendered):
        return False
    return sampling_under(templates[name], sampling).default_system != sampling.default_system
