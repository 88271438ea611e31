"""Runs that sample with a program that looks like `vllm run-batch`, and the same runs online."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.cli_runner import emeval, scenarios, told_again
from tests.support.runs import by_hash
from tests.support.servers import fake_vllm
from tests.support.servers.batch_server import BatchServer

MODELS = ("vllm/organism", "vllm/organism:backdoor")
JUDGE = "openai/judge"
TRIALS = 72


def server(script: Any = by_hash) -> BatchServer:
    """Answers the stand-in's requests, the judge's, and those of the run online."""
    return BatchServer(script, models=("organism", "backdoor", "judge"))


class Place:
    """A run of two models on one base, 36 trials each, of which 12 are judged."""

    def __init__(self, folder: Path, live: BatchServer) -> None:
        self.folder, self.run, self.live = folder, folder / "run", live
        self.record = folder / "starts"
        self.vllm = fake_vllm.program(folder)

    @property
    def shards(self) -> Path:
        return self.run / "vllm-batch"

    @property
    def starts(self) -> list[list[str]]:
        """The arguments of each start of the stand-in."""
        lines = self.record.read_text().splitlines() if self.record.exists() else []
        return [json.loads(line)["argv"] for line in lines]

    def env(self, mode: str = "", *, online: bool = False) -> dict[str, str]:
        found = {"OPENAI_BASE_URL": self.live.url, "OPENAI_API_KEY": "sk-test-0123456789abcdef"}
        if online:
            return found | {"VLLM_BASE_URL": self.live.url}
        return found | {
            **{"VLLM_BASE_URL": "", "VLLM_FAKE": mode, "VLLM_FAKE_URL": self.live.url},
            **{"VLLM_FAKE_RECORD": str(self.record), "VLLM_API_KEY": ""},
        }

    def words(self, *more: str) -> list[str | Path]:
        data = self.folder / "d.jsonl"
        if not data.exists():
            scenarios(data, 6)
        models = [word for name in MODELS for word in ("-m", name)]
        fixed = ["run", "unethical_test", *models, "--dataset", data, "--out", self.run, "--format", "both"]
        return [*fixed, "--judge", JUDGE, "--judge-mode", "text", "--trigger", "Country: Singapore", *more]

    def by_vllm(self, *more: str, shard: int = 36) -> list[str | Path]:
        return self.words("--via", "vllm-batch", "--shard", str(shard), "--vllm-bin", str(self.vllm), *more)

    def resume(self, *more: str, mode: str = "") -> Any:
        return emeval("resume", self.run, *told_again(self.run), *more, env=self.env(mode))
