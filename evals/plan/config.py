"""One frozen RunConfig with every name resolved, and what makes two runs the same run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import model_validator

from evals.endpoints.model_spec import name_and_url
from evals.plan.settings import rules
from evals.plan.settings.asked import asked_formats, open_criteria
from evals.plan.settings.run_settings import SETTINGS, RunSettings
from evals.plan.settings.values import split_dataset
from evals.plan.stopping.rule import Rule, parse_rule
from evals.questions.question_file import is_question_file
from evals.questions.tables.names import is_table_suite
from evals.trials.condition import NO_SYSTEM_MESSAGE, TEMPLATE_DEFAULT, Template
from evals.trials.prompt import Format
from evals.trials.reasoning import PAPER_PREFILL
from evals.trials.reference import Criterion
from evals.trials.trial import FULL, SERVER_DEFAULT, Sampler

TRANSPORT_FIELDS = frozenset(name for name, setting in SETTINGS.items() if setting.scope in ("connection", "models"))
"""Fields that cannot change an answer, only how it travels: a resumed run may have others."""
_NO_IDENTITY = frozenset(name for name, setting in SETTINGS.items() if not setting.in_identity)


class RunConfig(RunSettings):
    """The settings of a run that agree with one another. Raises ValidationError, whose first problem is one line.

    For imported runs (evals.runner.imports), settings that the file does not record keep their defaults.
    """

    @model_validator(mode="after")
    def _agrees(self) -> RunConfig:
        rules.check(self)
        return self

    @property
    def rule(self) -> Rule | None:
        """The rule that ends sampling early, None for a plan of fixed size."""
        return None if self.until is None else parse_rule(self.until)

    @property
    def base_model(self) -> str:
        """The model of the run that the others are compared with under the baseline: the first one, unless `base` names
        another. "" where `base` is no model of the run, or the run has only one."""
        if len(self.models) < 2:
            return ""
        named = self.models[0] if self.base is None else name_and_url(self.base)[0]
        return named if named in self.models else ""

    @property
    def dataset_files(self) -> dict[str, Path]:
        """The user's scenario files, by suite."""
        parts = [split_dataset(dataset, self.suites) for dataset in self.dataset]
        return {suite or self.suites[0]: Path(file) for suite, file in parts}

    @property
    def formats(self) -> dict[str, tuple[Format, ...]]:
        """The formats that each known suite is asked in."""
        return asked_formats(self)

    @property
    def question_files(self) -> tuple[str, ...]:
        """The suites that are the user's question files."""
        return tuple(filter(is_question_file, self.suites))

    @property
    def own_files(self) -> tuple[str, ...]:
        """The suites that are the user's files: question files and tables."""
        return tuple(name for name in self.suites if is_question_file(name) or is_table_suite(name))

    @property
    def open_measures(self) -> frozenset[Criterion]:
        """The criteria that the run's open answers are judged by."""
        return open_criteria(self)

    @property
    def thinking_switch(self) -> bool | None:
        """Whether the chat template is told to think; None where it is left to the server."""
        return None if self.thinking == "default" else self.thinking == "on"

    @property
    def sampler(self) -> Sampler:
        """How the model's distribution is altered: not at all, or as its server has it, or as told."""
        sampler = FULL if self.sampling == "full" else SERVER_DEFAULT
        given = {"top_p": self.top_p, "top_k": self.top_k}
        return replace(sampler, **{name: value for name, value in given.items() if value is not None})

    @property
    def assistant_prefill(self) -> str:
        """The start of the assistant's turn: the given one, else the paper's with thinking on, else none."""
        if self.prefill is not None:
            return self.prefill
        return PAPER_PREFILL if self.thinking == "on" else ""

    @property
    def system_text(self) -> str | None:
        """The system message that prompts without one get, None where it is left to the template or there is none."""
        return None if self.system in (TEMPLATE_DEFAULT, NO_SYSTEM_MESSAGE) else self.system

    @property
    def condition_templates(self) -> dict[str, Template]:
        """What the run's own conditions do to a prompt, those of `shots` among them."""
        own = {name: text.template for name, text in self.templates.items()}
        return own | (self.shots.templates() if self.shots else {})

    def other_judgings(self) -> tuple[RunConfig, ...]:
        """This config once for each judge that is not counted: it is asked about the answers, not the reasoning."""
        none: dict[str, Any] = {
            "also_judges": (),
            "also_judges_via": {},
            "cot_monitor": False,
            "cot_all": False,
            "monitor": (),
            "anchors": None,
        }
        ways = self.also_judges_via
        judges = [
            {"judge": name, "judge_base_url": url, "judge_via": ways.get(name, self.judge_via)}
            for name, url in map(name_and_url, self.also_judges)
        ]
        return tuple(self.model_copy(update=judge | none) for judge in judges)

    def identity(self) -> dict[str, Any]:
        """The fields that define which run this is, as JSON values; its files are known by their hashes instead."""
        fields = self.model_dump(mode="json", exclude={*_NO_IDENTITY, "templates", "shots"})
        fields |= {f"condition {name}": text.identity() for name, text in self.templates.items()}
        fields |= {"shots": self.shots.identity()} if self.shots else {}
        # It does not matter where the judge was named, as long as it is the same one.
        return fields | {"over_questions": [name for name in self.over_questions if name != "judge"]}
