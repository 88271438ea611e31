"""The plugins of a run: which suites, judges and metrics of other packages it uses, and of which version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydantic import BaseModel, ConfigDict

from evals.errors import BadInput
from evals.io.plugins.entry_points import Kind, Plugin, installed, plugin_called
from evals.plan.config import RunConfig
from evals.plan.settings.asked import asked_suites
from evals.questions.plugins.suites import code_sha256, refused_name
from evals.questions.suite import Suite
from evals.questions.suites import SUITES, known_suite
from evals.scoring.metric import Metric
from evals.scoring.plugins.judges import use_judge
from evals.scoring.plugins.metrics import use_metric
from evals.text import one_line
from judges.entry import JudgeEntry
from judges.registry import JUDGES, OWN_JUDGES


class PluginFacts(BaseModel):
    """A suite, judge or metric of another package that a run uses.

    `sha256` is of the file of its module; for a suite of the one that makes its prompts, "" where emeval makes them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    name: str
    package: str
    version: str
    sha256: str

    @property
    def state(self) -> str:
        """What tells one state of the code from another."""
        return one_line(f"{self.package} {self.version} {self.sha256[:12]}", 160)


def use_plugins(names: Iterable[str]) -> Iterator[tuple[Plugin, JudgeEntry | Metric]]:
    """The judges and metrics of these names, known from now on. Raises BadInput for one that is not there."""
    for name in names:
        found = [plugin for kind in ("judge", "metric") if (plugin := plugin_called(kind, name)) is not None]
        if not found:
            raise BadInput(f"--plugin: {_unknown(name)}")
        for plugin in found:
            yield plugin, _used(plugin)


def _used(plugin: Plugin) -> JudgeEntry | Metric:
    return use_judge(plugin) if plugin.kind == "judge" else use_metric(plugin)


def listed_plugins(*kinds: Kind) -> Iterator[tuple[Plugin, Suite | JudgeEntry | Metric | BadInput]]:
    """Every plugin of these kinds that is installed, loaded, or why it cannot be used."""
    for kind in kinds:
        for plugin in installed(kind):
            try:
                yield plugin, _loaded(plugin)
            except BadInput as problem:
                yield plugin, problem


def _loaded(plugin: Plugin) -> Suite | JudgeEntry | Metric:
    plugin_called(plugin.kind, plugin.name)  # refuses a name that two packages have
    if plugin.kind != "suite":
        return _used(plugin)
    suite = known_suite(plugin.name)
    if suite is None or suite.dataset == "" or plugin.name in SUITES:
        raise refused_name(plugin)
    return suite


def check_plugins(config: RunConfig) -> None:
    """Raises BadInput for a judge or metric of another package that the run has no use for."""
    for plugin, used in use_plugins(config.plugins):
        if not isinstance(used, JudgeEntry):
            continue
        name = f"--plugin: {plugin.name} is a judge"
        if config.judge is None:
            raise BadInput(f"{name}, and needs a model that judges; name one with --judge")
        if used.reads == "reasoning" and not config.cot_monitor:
            raise BadInput(f"{name} of reasoning, which nobody reads with --no-cot-monitor; leave one of them out")
        if used.criterion is not None and used.criterion not in config.open_measures:
            raise BadInput(f"{name} of answers that are judged for {used.criterion}; no suite of this run has them")


def judges_of_plugins(config: RunConfig) -> list[JudgeEntry]:
    """The judges of other packages that a run names."""
    return [used for _, used in use_plugins(config.plugins) if isinstance(used, JudgeEntry)]


def plugin_facts(config: RunConfig) -> tuple[PluginFacts, ...]:
    """The plugins that a run of this config uses, as they are installed. Raises BadInput for one that is not."""
    suites = [suite.name for suite in asked_suites(config) if suite.name not in SUITES]
    plugins = [plugin for name in suites if (plugin := plugin_called("suite", name)) is not None]
    plugins += [plugin for plugin, _ in use_plugins(config.plugins)]
    return tuple(map(_facts, plugins))


def plugin_metrics(recorded: Iterable[PluginFacts]) -> frozenset[str]:
    """The names of all metrics that the plugins of a run add, where these are known (`require_judges_and_metrics`)."""
    names: set[str] = set()
    for facts in recorded:
        if facts.kind == "metric":
            names.add(facts.name)
        elif facts.kind == "judge" and facts.name in JUDGES:
            names |= {metric.name for metric in JUDGES[facts.name].metrics}
    return frozenset(names)


def installed_metrics() -> frozenset[str]:
    """The names of all metrics that installed packages declare, without those that cannot be used."""
    names: set[str] = set()
    for _, found in listed_plugins("judge", "metric"):
        if isinstance(found, JudgeEntry):
            names |= {metric.name for metric in found.metrics}
        elif isinstance(found, Metric):
            names.add(found.name)
    return frozenset(names)


def require_judges_and_metrics(recorded: Iterable[PluginFacts], run: str) -> None:
    """Make the judges and metrics of a recorded run known. Raises BadInput where one is missing or has changed."""
    for facts in recorded:
        if facts.kind == "suite":
            continue
        plugin = _required(facts, run)
        _used(plugin)
        now = _facts(plugin).state
        if now != facts.state:
            raise BadInput(
                f"{one_line(run, 60)}: {facts.kind} {one_line(facts.name, 60)} was {facts.state}, is now {now}; "
                "`emeval resume` counts the run again with it"
            )


def require_suites(recorded: Iterable[PluginFacts], run: str) -> None:
    """Raises BadInput where a suite of a recorded run is not installed any more."""
    for facts in recorded:
        if facts.kind == "suite" and known_suite(facts.name) is None:
            _required(facts, run)


def _required(facts: PluginFacts, run: str) -> Plugin:
    plugin = plugin_called(facts.kind, facts.name)
    if plugin is None:
        package = one_line(f"{facts.package}=={facts.version}", 100)
        raise BadInput(
            f"{one_line(run, 60)}: {facts.kind} {one_line(facts.name, 60)} came from a package that is not installed "
            f"here; install {package}"
        )
    return plugin


def _facts(plugin: Plugin) -> PluginFacts:
    plugin.load()
    return PluginFacts(
        kind=plugin.kind,
        name=plugin.name,
        package=plugin.package,
        version=plugin.version,
        sha256=code_sha256(plugin) if plugin.kind == "suite" else plugin.sha256(),
    )


def _unknown(name: str) -> str:
    shown = one_line(name, 60)
    if name in OWN_JUDGES:
        return f"{shown} is a judge of emeval's own, which needs no --plugin"
    if known_suite(name) is not None:
        return f"{shown} is a suite; name it as one: emeval run {shown}"
    known = ", ".join(sorted({plugin.name for kind in ("judge", "metric") for plugin in installed(kind)}))
    return f"no installed package has a judge or metric {shown!r}; installed: {one_line(known, 200) or 'none'}"
