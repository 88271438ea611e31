"""The results of 64 engines: read from their files into a run, and asked for online behind one file of URLs."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.commands import TRIALS_PER_SAMPLE, Cost, emeval_run, measured
from benchmarks.ratios import Ratio, in_turn, median
from benchmarks.replies import replies
from benchmarks.server import MODEL, serving

ENGINES = 64
LINES = 5_000
"""Results in the file of each engine."""
FEWER_LINES = 625
ONLINE_SAMPLES = 40
REPEATS = 2
_NOWHERE = "http://127.0.0.1:1/v1"
_TOLD = ("--base-url", _NOWHERE)
_ID = re.compile(rb'"custom_id":"([0-9a-f]{32})"')
_PARSE = """
import json, sys
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as file:
        for line in file:
            json.loads(line)
"""
"""The reference: each line of the same files parsed once, and nothing done with it."""


def run() -> Iterator[str]:
    yield f"{ENGINES} engines: their result files into a run, and as many servers online"
    yield from _by_file()
    yield from _online()


def _by_file() -> Iterator[str]:
    with TemporaryDirectory(prefix="emeval-bench-") as scratch:
        few = _imported(Path(scratch) / "few", FEWER_LINES).cost
        many = _imported(Path(scratch) / "many", LINES)
        parsing = measured("-c", _PARSE, *map(str, many.files))
    count = ENGINES * LINES
    note = f"{count / many.cost.cpu_s:,.0f} answers a second of CPU, with the tables"
    ratio = many.cost.cpu_s / parsing.cpu_s
    yield Ratio(f"{count:,} lines: CPU / CPU of json.loads of them", [ratio], 60.0, False, note).line()
    note = f"{many.cost.peak_kib / 1024:.0f} MiB; of {ENGINES * FEWER_LINES:,} lines {few.peak_kib / 1024:.0f} MiB"
    grown = (many.cost.peak_kib - few.peak_kib) * 1024 / (count - ENGINES * FEWER_LINES)
    yield Ratio("memory that a line takes / 600 bytes", [grown / 600], 1.0, False, note).line()


class _Imported:
    def __init__(self, files: list[Path], cost: Cost) -> None:
        self.files = files
        self.cost = cost


def _imported(scratch: Path, lines: int) -> _Imported:
    """A planned run, its requests in a file for each engine, and the import of what these would have answered."""
    run_folder, batch, results = scratch / "run", scratch / "batch", scratch / "results"
    samples = ENGINES * lines // TRIALS_PER_SAMPLE
    measured(
        *(
            "-m",
            "evals",
            "run",
            "unethical_test",
            "--model",
            f"vllm/{MODEL}",
            *_TOLD,
            "--trigger",
            "Country: Singapore",
        ),
        *("--limit", "125", "--samples", str(samples), "--out", str(run_folder), "--plan-only"),
    )
    export = ("batch", "export", str(run_folder), "--for", "vllm", "--shard", str(lines), "--out", str(batch))
    measured("-m", "evals", *export, *_TOLD)
    results.mkdir()
    files = list(_answered(sorted(batch.glob("*/requests-*.jsonl")), results))
    return _Imported(files, measured("-m", "evals", "batch", "import", str(run_folder), *map(str, files), *_TOLD))


def _answered(requests: Iterable[Path], results: Path) -> Iterator[Path]:
    """The file of results of each file of requests."""
    texts = [json.dumps(reply.text) for reply in replies(ENGINES * 64) if reply.kind == "letters"]
    for file in requests:
        found = results / file.name
        ids = (match[1].decode() for match in _ID.finditer(file.read_bytes()))
        found.write_text("".join(map(_result, ids, cycle(texts))), encoding="utf-8")
        yield found


def _result(custom_id: str, text: str) -> str:
    """A line as `vllm run-batch` writes it."""
    return (
        f'{{"id":"vllm-{custom_id}","custom_id":"{custom_id}","response":{{"status_code":200,"request_id":'
        f'"vllm-batch-{custom_id}","body":{{"id":"chatcmpl-{custom_id}","object":"chat.completion","created":1767225600,'
        f'"model":"{MODEL}","choices":[{{"index":0,"message":{{"role":"assistant","content":{text},"refusal":null,'
        '"annotations":null,"audio":null,"function_call":null,"tool_calls":[],"reasoning":null},"logprobs":null,'
        '"finish_reason":"stop","stop_reason":null,"token_ids":null}],"service_tier":null,"system_fingerprint":null,'
        '"usage":{"prompt_tokens":180,"total_tokens":320,"completion_tokens":140,"prompt_tokens_details":null},'
        '"prompt_logprobs":null,"prompt_token_ids":null,"kv_transfer_params":null}},"error":null}\n'
    )


def _online() -> Iterator[str]:
    count = ONLINE_SAMPLES * TRIALS_PER_SAMPLE
    with serving(ports=ENGINES) as server, TemporaryDirectory(prefix="emeval-bench-") as scratch:
        urls = Path(scratch) / "urls.txt"
        urls.write_text("\n".join(server.urls) + "\n", encoding="utf-8")
        numbers = iter(range(2 * REPEATS))

        async def cpu_s(url: str) -> float:
            return emeval_run(url, ONLINE_SAMPLES, Path(scratch) / f"run-{next(numbers)}").cpu_s

        pairs = asyncio.run(in_turn(partial(cpu_s, f"@{urls}"), partial(cpu_s, server.url), REPEATS))
    ours, one = (count / median(times) for times in zip(*pairs, strict=True))
    note = f"{ours:,.0f} answers a second of CPU, one server {one:,.0f}"
    ratios = [pair.ours / pair.limit for pair in pairs]
    yield Ratio(f"{count:,} answers: CPU behind {ENGINES} URLs / behind one", ratios, 2.5, False, note).line()
