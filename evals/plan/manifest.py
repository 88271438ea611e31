"""manifest.json: what a run was, and what a resumed run must agree with."""

from __future__ import annotations

import hashlib
import json
import operator
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator

from evals.endpoints.prices import Tariff
from evals.errors import BadInput, JournalFull
from evals.io.atomic import whole_file
from evals.io.folders.strange_files import refuse_strange_entries
from evals.io.json_files import read_stored
from evals.io.paths import MOST_JSON, read_file
from evals.plan.config import RunConfig
from evals.plan.plugins import PluginFacts, require_judges_and_metrics
from evals.plan.settings.protocols import departures, not_as_published
from evals.plan.spend import Charge
from evals.questions.dataset import Source
from evals.questions.question_file import FileJudge
from evals.scoring.coherence_floor import floor_of
from evals.scoring.judge_set import ABOVE, FIELDS, IMPORTED, JudgePanel, RubricFacts, imported_key
from evals.scoring.rates.tally import TrialCount
from evals.text import quoted_path
from evals.trials.record import Role, Usage
from judges.question_file import PREFIX
from judges.registry import alongside_judges

FILE_NAME = "manifest.json"
SCHEMA_VERSION = 1
Status = Literal["running", "complete", "interrupted", "stopped"]


CheckResult = Literal["nothing to check", "ok", "noted", "not checked"]
"""From the best to the worst."""


class DatasetFacts(BaseModel):
    """The questions of a suite: their file, and for one from a Hugging Face hub its URL and commit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    sha256: str
    scenarios: int
    source: Source
    judges: dict[str, FileJudge] = {}
    labels: tuple[str, ...] | None = None
    """Those that the judges that count are asked for; None where none of them sorts answers into categories."""

    origin: str = Field(default="", exclude_if=operator.not_)
    revision: str = Field(default="", exclude_if=operator.not_)


class ModelFacts(BaseModel):
    """How a model was reached. `served` is the server's own list of names, None when it keeps none or was not asked.

    The hashes are of files that emeval has read itself: the model's, or an adapter's and then of the base beneath it.
    Several URLs have commas between; the list is the first server's. `answered_as` counts the replies that named
    another model than the one asked for, by that name; a manifest has it only where there are such replies.
    `default_system` is the system message that the chat template adds where a prompt has none ("" for none), None where
    the server does not show it. `adapter_lost` says what was wrong with an adapter at the end of a run, "" for nothing.
    `checks` are the worst results of the checks of its sampler and its adapter, over servers and sessions.
    `by_file`: answers came from batch files, and nobody has checked the sampler and the adapter of what gave them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str
    served_name: str
    served: tuple[str, ...] | None
    file_sha256: str | None
    base_sha256: str | None = None
    answered_as: dict[str, int] = Field(default={}, exclude_if=operator.not_)
    adapter_lost: str = Field(default="", exclude_if=operator.not_)
    by_file: bool = Field(default=False, exclude_if=operator.not_)
    default_system: str | None = Field(default=None, exclude_if=lambda text: text is None)
    checks: dict[str, CheckResult] = Field(default={}, exclude_if=operator.not_)


class ImportFacts(BaseModel):
    """The file that the answers of an imported run came from, and which judges' verdicts came with them.

    `columns` are the columns of the file by their names in emeval, where it was told; `blank` is what a blank score was
    said to be, None for nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    sha256: str
    rows: int
    judges: tuple[str, ...]
    columns: dict[str, str] = Field(default={}, exclude_if=operator.not_)
    blank: Literal["refused", "unjudged"] | None = Field(default=None, exclude_if=operator.not_)

    def rubrics(self) -> dict[str, RubricFacts]:
        """The judges of the file as a manifest lists judges; what they were asked is not known."""
        return {name: RubricFacts(name=IMPORTED, sha256="", judge_id=imported_key(name).id) for name in self.judges}


class PanelFacts(BaseModel):
    """A judge model that has ruled on the answers of a run, and what it was asked, by the judge's name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    judge: str
    rubrics: dict[str, RubricFacts]

    @property
    def judge_ids(self) -> tuple[str, ...]:
        return tuple(facts.judge_id for facts in self.rubrics.values())


class AnchorFacts(BaseModel):
    """The anchors file that the judges of this run were asked about again: how many of its anchors they cover, how
    often each was judged, and the ids of the judges."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    sha256: str
    judges: tuple[str, ...]
    anchors: int
    repeats: int = Field(default=1, exclude_if=lambda repeats: repeats == 1)


class SpendFacts(BaseModel):
    """What a model took in one role, over all sessions of the run, and what that cost in US dollars: None where it has
    no price. `unreported` of the replies are in no sum, since their server told no tokens. Those that were
    answered by batch, at half the price, are among the tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    role: Role
    replies: int
    unreported: int
    prompt_tokens: int
    completion_tokens: int
    price: Tariff
    usd: float | None
    batch_prompt_tokens: int = Field(default=0, exclude_if=operator.not_)
    batch_completion_tokens: int = Field(default=0, exclude_if=operator.not_)

    def charge(self) -> Charge:
        tokens = (self.replies, self.unreported, self.prompt_tokens, self.completion_tokens)
        by_batch = (self.batch_prompt_tokens, self.batch_completion_tokens)
        return Charge(Usage(self.model, self.role, *tokens, *by_batch), self.price)


class CacheHits(BaseModel):
    """The answers and verdicts that were given to earlier runs, from the answer cache; `of_verdicts` are all verdicts
    of judge models, and the answers are of those that are recorded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    answers: int = 0
    verdicts: int = 0
    of_verdicts: int = 0


class ProtocolFacts(BaseModel):
    """The published protocol that a run follows: in what it departs from it, and what could not be as published."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    departures: tuple[str, ...]
    not_as_published: tuple[str, ...]


class CountedFacts(BaseModel):
    """What the CSVs of a run were counted from, as one sha256 (`evals.runner.count`), and what they were then: their
    sha256, and how many trials of a cell ended alike, which is printed and stands in no CSV."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    of: str
    files: dict[str, str]
    trials: tuple[TrialCount, ...]


class Manifest(BaseModel):
    """`panels` are all that have ruled on the run, in the order in which they were first asked; the one that counts is
    `config.judge` with `rubrics`. `judges_answered_as` counts the replies to each judge model that named another model,
    by that name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA_VERSION
    run_id: str
    status: Status
    config: RunConfig
    datasets: dict[str, DatasetFacts]
    rubrics: dict[str, RubricFacts]
    models: dict[str, ModelFacts]
    judges_answered_as: dict[str, dict[str, int]] = Field(default={}, exclude_if=operator.not_)
    trials_planned: int
    trials_recorded: int
    created_at: str
    updated_at: str
    versions: dict[str, str]
    git_revision: str | None
    imported: ImportFacts | None = None
    panels: tuple[PanelFacts, ...] = ()
    anchors: AnchorFacts | None = None
    spend: tuple[SpendFacts, ...] | None = None
    """None where nobody has counted it: in runs of an earlier version, and in imported ones."""

    protocol: ProtocolFacts | None = Field(default=None, exclude_if=lambda facts: facts is None)
    grown: tuple[str, ...] = Field(default=(), exclude_if=operator.not_)
    """When the run was added to, and in what, in the order of the additions."""
    cache_hits: CacheHits | None = Field(default=None, exclude_if=lambda hits: hits is None)
    """None where no session of the run has used the answer cache."""
    plugins: tuple[PluginFacts, ...] = Field(default=(), exclude_if=operator.not_)
    """The suites, judges and metrics of other packages that the run uses."""
    counted: CountedFacts | None = None
    digest: str = Field(default="", exclude=True)
    """The sha256 of the rest of the file, "" in a manifest of an earlier version."""

    @field_validator("config", mode="before")
    @classmethod
    def _config_of_before(cls, config: object) -> object:
        """The config of a run of an earlier version: the sampler was left to the server, and `imported` could be named
        as a further judge of answers that were asked for, though nobody was asked."""
        if not isinstance(config, dict):
            return config
        fields = {"sampling": "model"} | cast("dict[str, Any]", config)
        if not fields.get("imported") and isinstance(also := fields.get("also_judges"), list | tuple):
            fields["also_judges"] = tuple(judge for judge in cast("list[str]", also) if judge != IMPORTED)
        return fields

    def all_panels(self) -> tuple[PanelFacts, ...]:
        """`panels`, with the one that counts in it also where the manifest is older than the field."""
        return with_panel(self.panels, PanelFacts(judge=self.config.judge or "", rubrics=self.rubrics))

    def identity(self) -> dict[str, Any]:
        """What a resumed run must have in common with this one."""
        datasets = {f"dataset of {name}": facts.sha256[:12] for name, facts in self.datasets.items()}
        rubrics = {f"rubric {name}": facts.sha256[:12] for name, facts in self.rubrics.items()}
        imported = {"imported file": self.imported.sha256[:12]} if self.imported else {}
        made = [facts for facts in self.plugins if facts.kind == "suite" and facts.sha256]  # else the questions say it
        suites = {f"suite {facts.name}": facts.state for facts in made}
        return self.config.identity() | datasets | rubrics | imported | suites


def judge_set(manifest: Manifest) -> JudgePanel:
    """The judges whose verdicts count in this run. Raises BadInput if one of another package is missing here."""
    require_judges_and_metrics(manifest.plugins, manifest.run_id)
    return judges_in(manifest.rubrics, manifest.config)


def judges_in(rubrics: Mapping[str, RubricFacts], config: RunConfig) -> JudgePanel:
    """The judges of one judge model, by what it was asked, as they would count in a run of this config."""
    ids = {name: facts.judge_id for name, facts in rubrics.items()}
    return JudgePanel(
        coherence_min=floor_of(config.coherence_min),
        every_trace=config.cot_all,
        file_judges={name.removeprefix(PREFIX): found for name, found in ids.items() if name.startswith(PREFIX)},
        coherent_above=ABOVE,
        alongside={entry.name: ids[entry.name] for entry in alongside_judges() if entry.name in ids},
        **{field: ids.get(name) for name, field in FIELDS.items()},
    )


def judges_beside(manifest: Manifest) -> list[str]:
    """The judges that have ruled on a run without being counted."""
    judges = dict.fromkeys(panel.judge for panel in manifest.all_panels())
    return [judge for judge in judges if judge != manifest.config.judge]


def with_panel(panels: tuple[PanelFacts, ...], panel: PanelFacts) -> tuple[PanelFacts, ...]:
    """`panels` and one more. What the same judge model was asked besides, with the same wording, joins it."""
    if not panel.rubrics:
        return panels
    for place, known in enumerate(panels):
        shared = known.rubrics.keys() & panel.rubrics.keys()
        if known.judge == panel.judge and all(known.rubrics[name] == panel.rubrics[name] for name in shared):
            joined = PanelFacts(judge=known.judge, rubrics=known.rubrics | panel.rubrics)
            return (*panels[:place], joined, *panels[place + 1 :])
    return (*panels, panel)


def spend_facts(charges: Iterable[Charge]) -> tuple[SpendFacts, ...]:
    return tuple(SpendFacts(**asdict(charge.usage), price=charge.tariff, usd=charge.usd) for charge in charges)


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest in `folder`, None when there is none. Raises BadInput when it cannot be read, or
    the folder holds what would hang or mislead another reader."""
    path = folder / FILE_NAME
    refuse_strange_entries(folder)
    try:
        manifest = read_stored(path, Manifest, "a manifest")
    except BadInput:
        _refuse_damage(path)
        raise
    if manifest is not None:
        _refuse_damage(path)
    return manifest


def _refuse_damage(path: Path) -> None:
    """Raises BadInput for a manifest whose digest is of another content; those of an earlier version have none."""
    try:
        content: object = json.loads(read_file(path, MOST_JSON))
    except (OSError, ValueError, RecursionError):
        return
    if isinstance(content, dict) and "digest" in content:
        fields = dict(cast("dict[str, Any]", content))
        if fields.pop("digest") != _digest(fields):
            check = f"emeval check {quoted_path(path.parent)}"
            raise BadInput(f"{path}: is damaged or was edited; `{check}` says what is whole")


def _digest(content: Mapping[str, Any]) -> str:
    """The sha256 of the content of a manifest, however it is laid out."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _protocol_facts(config: RunConfig) -> ProtocolFacts | None:
    if config.protocol is None:
        return None
    return ProtocolFacts(name=config.protocol, departures=departures(config), not_as_published=not_as_published(config))


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write it whole or not at all."""
    path = folder / FILE_NAME
    manifest = manifest.model_copy(update={"protocol": _protocol_facts(manifest.config)})
    content = manifest.model_dump(mode="json")
    text = json.dumps(content | {"digest": _digest(content)}, indent=1, ensure_ascii=False) + "\n"
    try:
        with whole_file(path) as file:
            file.write(text)
    except OSError as error:
        raise JournalFull(f"{path}: cannot be written ({error.strerror}); free some space and resume") from None
