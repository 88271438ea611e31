"""Every command in its group of `emeval --help`, and the module whose import adds it to the app."""

from __future__ import annotations

GROUPS: dict[str, dict[str, str]] = {
    "Ask models": {
        "init": "plan",
        "suites": "rates",
        **dict.fromkeys(("providers", "doctor"), "checks"),
        "plan": "plan",
        "preflight": "checks",
        **dict.fromkeys(("run", "resume", "judge"), "run"),
        "variants": "runs.variants",
        "choices": "asking.choices",
        "batch": "batch.slurm",
    },
    "Look at runs": {
        **dict.fromkeys(("ls", "status"), "runs.listing"),
        "watch": "runs.watch",
        "rates": "rates",
        "rare": "runs.rarity",
        "show": "show",
        **dict.fromkeys(("report", "plot"), "report"),
        "say-do": "runs.say_do",
        "table": "rates",
        "export": "export",
    },
    "Trust the numbers": {
        "check": "checks",
        "evidence": "runs.evidence",
        "calibrate": "rates",
        "label": "label",
        "monitorability": "runs.monitorability",
        "robustness": "robustness",
        "judge-bridge": "robustness",
        "rubrics": "judging.rubrics",
    },
    "Data in and out of a study": {
        "datasets": "datasets",
        "cache": "asking.cache",
        "import": "imports",
        **dict.fromkeys(("mix", "cues"), "datasets"),
    },
    "Night after night": {
        "nightly": "nightly",
        "compare": "compare",
        "recipes": "runs.recipes",
        "curve": "runs.curve",
        **dict.fromkeys(("anchors", "drift"), "drift"),
    },
}
"""The groups and their commands, both in the order of --help."""
COMMANDS = {name: module for commands in GROUPS.values() for name, module in commands.items()}
