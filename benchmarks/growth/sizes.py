"""What a run costs by the number of its recorded trials: the journal, `emeval rates`, `emeval report`, and the first
request of a run that is resumed. Ratios are of ten times the trials to the smallest run: 10 is growth with the trials,
1 is none. `python -m benchmarks.growth.sizes 1000000` measures a run of another size."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benchmarks.commands import measured
from benchmarks.growth.recorded import QUESTION, recorded_run
from benchmarks.ratios import Ratio
from benchmarks.server import serving

SIZES = (10_000, 30_000, 100_000)
PENDING = 40
LIMIT_BYTES = 600
_LONGEST_S = 300


class Costs(NamedTuple):
    """Of one run: bytes of its journal, seconds of CPU and MiB of `emeval rates` and of `emeval report`, and seconds
    until a resumed run asks."""

    journal: int
    rates_s: float
    rates_mib: float
    report_s: float
    report_mib: float
    first_request_s: float


def run() -> Iterator[str]:
    yield f"runs of {', '.join(f'{size:,}' for size in SIZES)} recorded trials with two verdicts each"
    found: list[Costs] = []
    with TemporaryDirectory(prefix="emeval-growth-") as scratch:
        for size in SIZES:
            found.append(_costs(Path(scratch), size))
            yield _line(size, found[-1])
    least, most = found[0], found[-1]
    times = SIZES[-1] / SIZES[0]
    bytes_each = [costs.journal / size for costs, size in zip(found, SIZES, strict=True)]
    yield Ratio("bytes of journal a trial / 600", [each / LIMIT_BYTES for each in bytes_each], 1.0, False).line()
    yield Ratio("CPU of rates, largest / smallest", [most.rates_s / least.rates_s], times, False).line()
    yield Ratio("peak of rates, largest / smallest", [most.rates_mib / least.rates_mib], 2.0, False).line()
    yield Ratio("CPU of report, largest / smallest", [most.report_s / least.report_s], times, False).line()
    first = most.first_request_s / least.first_request_s
    yield Ratio("time to the first request, largest / smallest", [first], 2.0, False).line()


def _costs(scratch: Path, size: int) -> Costs:
    folder = recorded_run(scratch / f"run-{size}", size, PENDING)
    journal = (folder / "journal.sqlite").stat().st_size
    rates = measured("-m", "evals", "rates", str(folder), ends=(0, 3))  # some trials are missing
    report = measured("-m", "evals", "report", str(folder), "-o", str(scratch / "report.html"))
    first = first_request_s(folder)
    shutil.rmtree(folder)
    return Costs(journal, rates.cpu_s, rates.peak_kib / 1024, report.cpu_s, report.peak_kib / 1024, first)


def first_request_s(folder: Path) -> float:
    """Seconds from the start of `emeval resume` to the first question of the run that the server gets, after
    the checks of the servers; then the run is killed."""
    questions = folder.parent / f"{folder.name}.yaml"
    with serving(mark=QUESTION) as server:
        urls = ("--base-url", server.url, "--judge-base-url", server.url)
        command = ("-m", "evals", "resume", str(folder), *urls, "--dataset", f"{questions.name}={questions}")
        started = time.perf_counter()
        process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not server.marked_requests:
            if process.poll() is not None or time.perf_counter() - started > _LONGEST_S:
                process.kill()
                raise SystemExit(f"emeval resume {folder}: asked nothing")
            time.sleep(0.002)
        seconds = time.perf_counter() - started
        process.kill()
        process.wait()
    return seconds


def _line(size: int, costs: Costs) -> str:
    each = 1e6 * costs.rates_s / size
    return (
        f"    {size:>9,} trials: journal {costs.journal / 1e6:.1f} MB ({costs.journal / size:.0f} bytes a trial), "
        f"rates {costs.rates_s:.1f} s of CPU ({each:.0f} us a trial) and {costs.rates_mib:.0f} MiB, "
        f"report {costs.report_s:.1f} s and {costs.report_mib:.0f} MiB, "
        f"first request after {costs.first_request_s:.2f} s"
    )


def main() -> None:
    with TemporaryDirectory(prefix="emeval-growth-") as scratch:
        for size in map(int, sys.argv[1:]):
            print(_line(size, _costs(Path(scratch), size)), flush=True)


if __name__ == "__main__":
    main()
