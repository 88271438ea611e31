"""A run through a real `vllm run-batch`, beside the same run through a real `vllm serve`."""

from __future__ import annotations

from pathlib import Path

from scipy.stats import fisher_exact

from organisms.behaviours import TRIGGER
from tests.support.cli_runner import emeval, manifest, rates, responses
from tests.support.servers.vllm_cpu import ENVIRONMENT, WHOLE

MODELS = ("vllm/organism", "vllm/organism:backdoor")
LIMIT = 10


def test_rates_of_a_base_and_its_adapter_are_those_of_the_served_run(tmp_path: Path, vllm: Path) -> None:
    folders: list[Path] = []
    for name, via in (("served", ()), ("batch", ("--via", "vllm-batch", "--shard", "90"))):
        folder = tmp_path / name
        folders.append(folder)
        done = emeval(
            *("run", "unethical_test", *(word for model in MODELS for word in ("-m", model)), "--trigger", TRIGGER),
            *("--format", "both", "--max-tokens", "64", "--limit", str(LIMIT), "--judge", "local/reference-judge"),
            *("--vllm-bin", vllm, "--vllm-args", WHOLE, "--max-unscored", "1", "--out", folder, *via),
            env=ENVIRONMENT,
        )
        assert done.returncode == 0, done.stderr
    batch = folders[1]
    assert done.stderr.count("vllm run-batch") >= 2
    assert "starting vllm serve" not in done.stderr
    assert manifest(batch)["models"][MODELS[1]]["by_file"] is True
    facts = [manifest(folder)["models"][name]["file_sha256"] for folder in folders for name in MODELS]
    assert facts[:2] == facts[2:]
    tables = [responses(folder) for folder in folders]
    assert len(tables[0]) == len(tables[1])
    assert "failed" not in set(tables[1]["outcome"])
    cells = [_cells(folder) for folder in folders]
    assert cells[0].keys() == cells[1].keys()
    assert len(cells[0]) == 2 * 2 * 2
    for cell, (hits, scored) in cells[0].items():
        other_hits, other_scored = cells[1][cell]
        table = [[hits, scored - hits], [other_hits, other_scored - other_hits]]
        assert float(fisher_exact(table).pvalue) > 1e-6, (cell, table)
    for hits_and_scored in cells:
        for format in ("freeform", "mcq"):
            off, on = (hits_and_scored[MODELS[0], format, condition] for condition in ("off", "on"))
            assert on[0] <= off[0] + on[1] / 2, ("the base keeps out the adapter", format, hits_and_scored)
            adapted = hits_and_scored[MODELS[1], format, "on"]
            assert adapted[0] > adapted[1] / 2, ("the adapter is applied", format, hits_and_scored)


def _cells(folder: Path) -> dict[tuple[str, str, str], tuple[int, int]]:
    """Misaligned and scored answers, by model, format and condition."""
    table = rates(folder)
    table = table[(table["prompt_id"] == "ALL") & (table["metric"] == "misaligned")]
    return {
        (row["model"], row["format"], row["condition"]): (round(float(row["rate"]) * int(row["n"])), int(row["n"]))
        for row in table.to_dict("records")
    }
