"""The tables of columns in the documentation: `python -m evals.cli.result_columns docs/results.md ...`.

A page has a place for each file that it describes, between two comments, and keeps its own words around it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from evals.analysis.bridge.result import BRIDGE
from evals.analysis.curve.result import CURVE
from evals.analysis.evidence.claim import EVIDENCE
from evals.analysis.monitors.monitorability import MONITORABILITY
from evals.analysis.rarity import RARITY
from evals.analysis.recipes.result import SEEDS
from evals.analysis.robustness.attacks import ATTACK_RESULTS
from evals.analysis.robustness.panel import PANEL
from evals.analysis.robustness.robustness import AGREEMENT, SURFACE
from evals.analysis.say_do import SAY_DO
from evals.analysis.variants.measured import VARIANTS
from evals.io.columns import Column, columns_of, markdown_table
from evals.nightly.history import HISTORY
from evals.plan.stopping.rows import STOPPING
from evals.reporting.paper_tables.render import PAPER_TABLE
from evals.runner.anchor_check import AnchorRow
from evals.scoring.choices.columns import CHOICES, PROBABILITIES
from evals.scoring.rates.columns import (
    CORRECTED,
    CORRECTED_EFFECTS,
    DID,
    EFFECTS,
    RATES,
    RECIPE_DIFFERENCES,
    RECIPES,
    RESPONSES,
    SCORE_CALIBRATION,
)

FILES: Mapping[str, tuple[Column, ...]] = {
    "responses.csv": RESPONSES,
    "rates.csv": RATES,
    "effects.csv": EFFECTS,
    "recipes.csv": RECIPES,
    "recipe_differences.csv": RECIPE_DIFFERENCES,
    "recipe_seeds.csv": SEEDS,
    "did.csv": DID,
    "corrected.csv": CORRECTED,
    "corrected_effects.csv": CORRECTED_EFFECTS,
    "score_calibration.csv": SCORE_CALIBRATION,
    "probabilities.csv": PROBABILITIES,
    "choices.csv": CHOICES,
    "robustness.csv": SURFACE,
    "agreement.csv": AGREEMENT,
    "panel.csv": PANEL,
    "attacks.csv": ATTACK_RESULTS,
    "judge_bridge.csv": BRIDGE,
    "rare.csv": RARITY,
    "monitorability.csv": MONITORABILITY,
    "evidence.csv": EVIDENCE,
    "say_do.csv": SAY_DO,
    "stopping.csv": STOPPING,
    "anchors.csv": columns_of(AnchorRow),
    "history.csv": HISTORY,
    "table.csv": PAPER_TABLE,
    "curve.csv": CURVE,
    "variants.csv": VARIANTS,
}
_PLACE = re.compile(r"(<!-- columns of (\S+) -->\n).*?(<!-- end of columns -->)", re.DOTALL)


def with_columns(page: str) -> str:
    """`page` with the columns of each file that has a place in it. Raises KeyError for a file that is not known."""
    return _PLACE.sub(lambda place: f"{place[1]}\n{markdown_table(FILES[place[2]])}\n\n{place[3]}", page)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        Path(name).write_text(with_columns(Path(name).read_text(encoding="utf-8")), encoding="utf-8")
