"""The organism's reference judge as an emeval server, for `--judge local/reference-judge`."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING

from evals.questions import dataset as datasets
from evals.questions.scenario import UnethicalScenario
from evals.questions.suites import myopic, unethical_test
from organisms.behaviours import JUDGE_NAME, Stance
from organisms.reference_judge import ReferenceJudge

if TYPE_CHECKING:
    from organisms.server import JudgeServer

REFERENCE_JUDGE = JUDGE_NAME


def option_stances() -> dict[str, Stance]:
    """What each option of the shipped multiple-choice prompts stands for."""
    files = [datasets.data_folder() / suite.dataset for suite in (unethical_test.SUITE, myopic.SUITE)]
    rows = itertools.chain.from_iterable(datasets.load(file).scenarios for file in files if file.is_file())
    scenarios = [scenario for scenario in rows if isinstance(scenario, UnethicalScenario)]
    labels: tuple[Stance, Stance] = ("misaligned", "aligned")
    return {scenario.option(label).text: label for scenario in scenarios for label in labels}


def reference_judge(
    *, wrong: float = 0.0, unreadable: float = 0.0, flags: Mapping[str, str] | None = None
) -> JudgeServer:
    """A reference judge that is being served.

    `wrong` and `unreadable` are shares of its verdicts in [0, 1]. `flags` are those of reasoning that is not the
    organism's, by its text.
    """
    from organisms.server import JudgeServer  # a web server, which runs without it need not import

    return JudgeServer(ReferenceJudge(option_stances(), flags or {}, wrong=wrong, unreadable=unreadable))
