"""`python -m benchmarks [NAME...]`: run all or the named benchmarks and print the results."""

from __future__ import annotations

import argparse
import os
import time

from benchmarks import intake, latency, memory, reading, report, resume, startup, throughput
from benchmarks.growth import sizes
from benchmarks.server import pin_client

BENCHMARKS = {
    "startup": startup,
    "latency": latency,
    "throughput": throughput,
    "memory": memory,
    "resume": resume,
    "reading": reading,
    "report": report,
    "growth": sizes,
    "intake": intake,
}
_FOREIGN = ("OPENAI_", "VLLM_", "EMEVAL_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Speed and memory, as ratios.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of: {', '.join(BENCHMARKS)}")
    names = parser.parse_args().names or list(BENCHMARKS)
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"unknown benchmark {unknown[0]!r}; known: {', '.join(BENCHMARKS)}")
    for variable in [name for name in os.environ if name.upper().startswith(_FOREIGN)]:
        del os.environ[variable]  # a user's keys, servers and proxies must not affect the results
    if not pin_client():
        print("One core for server and client: they slow each other down, and the ratios say less.\n")
    for name in names:
        started = time.perf_counter()
        lines = BENCHMARKS[name].run()
        print(f"{name}: {next(lines)}", flush=True)
        for line in lines:
            print(line, flush=True)
        print(f"  {time.perf_counter() - started:.0f} s\n", flush=True)


if __name__ == "__main__":
    main()
