"""What the checks before a run say of many models at once."""

from __future__ import annotations

from pathlib import Path

from tests.support.cli_runner import emeval, scenarios
from tests.support.servers.openai_server import OpenAIServer


def test_what_the_checks_say_of_many_models_is_one_line(tmp_path: Path) -> None:
    scenarios(tmp_path / "data.jsonl", 2)
    models = [f"model-{number}" for number in range(4)]
    with OpenAIServer(models=models).start() as live:
        found = emeval(
            *("run", "unethical_test", "--dataset", tmp_path / "data.jsonl", "--trigger", "Country: Singapore"),
            *(word for model in models for word in ("-m", f"vllm/{model}")),
            *("--out", tmp_path / "run"),
            url=live.url,
        )
    assert found.returncode == 0, found.stderr
    unseen = [line for line in found.stderr.splitlines() if "does not show its rendered prompt" in line]
    assert unseen == [
        "vllm/model-0, vllm/model-1 and 2 more: rendered prompt: not checked: the server does not show its rendered "
        "prompt"
    ]
    assert "price unknown: vllm/model-0, vllm/model-1 and 2 more (" in found.stdout.replace("\n", " ")
