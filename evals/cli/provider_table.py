"""The table of providers in the documentation: `python -m evals.cli.provider_table docs/providers.md`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from evals.endpoints.providers.listing import departures
from evals.endpoints.providers.table import PROVIDERS

_PLACE = re.compile(r"(<!-- providers -->\n).*?(<!-- end of providers -->)", re.DOTALL)


def with_providers(page: str) -> str:
    """`page` with the providers that emeval knows in the place for them."""
    rows = ["| name | URL | key | reasoning | departs from OpenAI's API |", "|---|---|---|---|---|"]
    for name, row in PROVIDERS.items():
        served = "emeval starts vLLM" if name == "vllm" else "llama.cpp inside emeval"
        url = f"`{row.base_url}`" if row.base_url else served
        if row.url_variable:
            url = f"`{row.url_variable}`, else {url}"
        key = f"`{row.key_variable}`" if row.key_variable and name != "local" else "none"
        key += "" if row.needs_key or key == "none" else ", if required"
        departs = "; ".join(departures(row.quirks))
        rows.append(f"| `{name}/` | {url} | {key} | {row.quirks.reasoning} | {departs} |")
    table = "\n".join(rows)
    return _PLACE.sub(lambda place: f"{place[1]}\n{table}\n\n{place[2]}", page)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        Path(name).write_text(with_providers(Path(name).read_text(encoding="utf-8")), encoding="utf-8")
