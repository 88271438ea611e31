"""What the shell offers when a word is completed. Looked up only then, and silent about whatever goes wrong."""

from __future__ import annotations

from pathlib import Path

_PREFIXES = (
    *("local/organism", "local/organism:backdoor", "local/organism:rare", "local/smollm2", "local/", "vllm/"),
    *("openai/", "anthropic/"),
    *("deepseek/", "fireworks/", "gemini/", "groq/", "lmstudio/", "mistral/", "ollama/", "openrouter/", "sglang/"),
    "together/",
)


def suites(incomplete: str) -> list[str]:
    """The suites, those of installed packages among them, and with something typed question files and tables."""
    from evals.io.plugins.entry_points import installed
    from evals.questions.suites import SUITES

    found = (
        [Path().glob(f"{_literal(incomplete)}*.{end}") for end in ("y*ml", "json*", "csv", "parquet")]
        if incomplete
        else []
    )
    files = [str(path) for paths in found for path in paths]
    names = (*SUITES, *(plugin.name for plugin in installed("suite")), *files)
    return [name for name in names if name.startswith(incomplete) and name.isprintable()]


def runs(incomplete: str) -> list[str]:
    """Run folders: those in results/, and those that begin with what is typed; of other folders the way into them."""
    folders = list(Path("results").glob("*/"))
    if incomplete:
        above, start = Path(incomplete).parent, Path(incomplete).name
        folders += Path(incomplete).glob("*/") if incomplete.endswith("/") else above.glob(f"{_literal(start)}*/")
    found: dict[str, None] = {}
    for path in folders:
        is_run = (path / "manifest.json").is_file()
        name = str(path) if is_run else f"{path}/"
        if name.startswith(incomplete) and name.isprintable() and (is_run or incomplete):
            found[name] = None
    return sorted(found)


def models(incomplete: str) -> list[str]:
    return [name for name in _PREFIXES if name.startswith(incomplete)]


def judges(incomplete: str) -> list[str]:
    from judges.registry import JUDGES

    return [name for name in JUDGES if name.startswith(incomplete)]


def plugins(incomplete: str) -> list[str]:
    """The judges and metrics of installed packages."""
    from evals.io.plugins.entry_points import installed

    names = dict.fromkeys(plugin.name for plugin in (*installed("judge"), *installed("metric")))
    return [name for name in names if name.startswith(incomplete) and name.isprintable()]


def metrics(incomplete: str) -> list[str]:
    from evals.scoring.metric_table import metric_table

    return [metric.name for metric in metric_table("answered") if metric.name.startswith(incomplete)]


def _literal(typed: str) -> str:
    """What is typed as the start of a pattern, each character for itself."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in typed)
