"""The documentation builds without a warning, says what the program says, and asks nothing of the network."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from playwright.sync_api import Browser

import emeval
from evals.cli import settings_reference
from evals.cli.likely_table import with_priors
from evals.cli.provider_table import with_providers
from evals.cli.reference import reference
from evals.cli.result_columns import FILES, with_columns
from evals.endpoints.providers.provider import Quirks
from evals.endpoints.providers.table import PROVIDERS
from evals.errors import EmevalError
from tests.support.browser import open_page
from tests.support.pictures import MOST_BYTES

ROOT = Path(__file__).parents[1]
COMMUNITY = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


class _Loads(HTMLParser):
    """What a page has the browser load."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {"script": "src", "img": "src", "iframe": "src", "link": "href"}
        self.found += [value for name, value in attrs if name == names.get(tag) and value]


def pages(site: Path) -> Iterator[Path]:
    found = sorted(site.glob("*.html"))
    assert len(found) > 20
    yield from found


def test_the_site_builds_without_a_warning(site: Path) -> None:
    assert {path.stem for path in (ROOT / "docs").glob("*.md")} <= {path.stem for path in pages(site)}


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    for page in pages(site):
        loads = _Loads()
        loads.feed(page.read_text(encoding="utf-8"))
        assert not [one for one in loads.found if re.match(r"(https?:)?//", one)], page


def test_a_browser_asks_nothing_of_the_network(site: Path, chromium: Browser) -> None:
    asked: list[str] = []
    page = chromium.new_page()
    page.on("request", lambda request: asked.append(request.url))
    for name in ("index.html", "api.html"):
        page.goto((site / name).as_uri())
        page.wait_for_load_state("load")
    assert asked
    assert not [url for url in asked if not url.startswith(("file:", "data:", "blob:"))]


def test_the_search_works_from_disk(site: Path, chromium: Browser) -> None:
    with open_page(chromium, site / "index.html") as page:
        page.locator("input[name=query]").click()
        page.keyboard.type("denominator")
        found = page.locator(".md-search-result__link")
        found.first.wait_for()
        targets = [str(link.get_attribute("href")) for link in found.all()]
        assert any(re.search(r"(results|statistics)\.html", url) for url in targets), targets
        found.first.click()
        page.wait_for_url(re.compile(r"/(?!index)\w+\.html"))


def test_the_reference_of_the_command_line_is_current() -> None:
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == reference(), "make docs-cli"


def test_the_settings_are_described_as_they_are_declared() -> None:
    options, page = ROOT / "emeval" / "run_options.py", ROOT / "docs" / "config.md"
    assert options.read_text(encoding="utf-8") == settings_reference.module(), "make docs-cli"
    assert page.read_text(encoding="utf-8") == settings_reference.page(), "make docs-cli"


def test_the_columns_of_every_file_are_described_as_they_are_declared() -> None:
    pages = [
        (ROOT / "docs" / name).read_text(encoding="utf-8")
        for name in ("results.md", "nightly.md", "tables.md", "experiments.md")
    ]
    for text in pages:
        assert with_columns(text) == text, "make docs-cli"
    places = re.findall(r"<!-- columns of (\S+) -->", "".join(pages))
    assert sorted(places) == sorted(FILES)
    for columns in FILES.values():
        assert all(column.meaning for column in columns)
        assert not [column for column in columns if "|" in column.meaning], "would end the cell"


def test_the_providers_are_described_as_they_are_declared() -> None:
    page = (ROOT / "docs" / "providers.md").read_text(encoding="utf-8")
    assert with_providers(page) == page, "make docs-cli"
    assert all(f"| `{name}/` |" in page for name in PROVIDERS)
    assert all(f"| `{quirk}` |" in page for quirk in Quirks.model_fields)


def test_the_likely_lengths_are_described_as_they_are() -> None:
    page = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    assert with_priors(page) == page, "make docs-cli"
    assert "| freeform | 350 | 900 |" in page


def test_the_reference_does_not_hang_on_the_terminal(tmp_path: Path) -> None:
    file = tmp_path / "cli.md"
    environment = os.environ | {"COLUMNS": "40", "TERM": "dumb", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "evals.cli.reference", str(file)]
    subprocess.run(command, cwd=ROOT, env=environment, timeout=60, check=True)
    assert file.read_text(encoding="utf-8") == reference()


def test_every_extra_is_described() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    page = (ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8")
    rows = page.partition("### Extras")[2].partition("## 2")[0]
    assert not [extra for extra in declared if f"`{extra}`" not in rows]


def test_no_page_shows_a_backslash_before_a_bar(site: Path) -> None:
    """GitHub needs one before a bar within code in a table, and the site would show it."""
    for page in pages(site):
        assert "\\|" not in page.read_text(encoding="utf-8"), page


def test_every_picture_is_small_shown_and_described() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")]
    shown = {name: words for text in texts for words, name in re.findall(r"!\[([^]]*)\]\(images/([^)]+)\)", text)}
    assert {path.name for path in (ROOT / "docs" / "images").iterdir()} == set(shown)
    assert all(len(words) > 30 for words in shown.values())
    assert all(path.stat().st_size <= MOST_BYTES for path in (ROOT / "docs" / "images").iterdir())


def test_every_name_of_the_python_api_is_documented(site: Path) -> None:
    text = (site / "api.html").read_text(encoding="utf-8")
    for name in emeval.__all__:
        found = getattr(emeval, name)
        if isinstance(found, type) and issubclass(found, EmevalError):
            assert f"<code>{name}</code>" in text or name == "EmevalError"
        elif name != "__version__":
            assert f'id="emeval.{name}"' in text, name


def test_what_the_pages_import_is_there() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    found = [
        (page.name, module, name.split(" as ")[0].strip(" ()"))
        for page in pages
        for module, names in re.findall(
            r"^ *from ((?:emeval|evals|judges|organisms)[\w.]*) import (.+)$", page.read_text(encoding="utf-8"), re.M
        )
        for name in names.partition("#")[0].split(",")
    ]
    assert {page for page, _, _ in found} >= {"figures.md", "data.md", "extending.md"}
    for page, module, name in found:
        assert hasattr(importlib.import_module(module), name), f"{page}: {module} has no {name}"


@pytest.mark.parametrize("name", COMMUNITY)
def test_links_in_the_files_beside_the_docs_lead_somewhere(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if not link.startswith("http"):
            assert (ROOT / link).is_file(), link


def test_the_citation_file_is_valid() -> None:
    command = ["check-jsonschema", "--builtin-schema", "vendor.citation-file-format", "CITATION.cff"]
    done = subprocess.run(
        [str(Path(sys.executable).with_name(command[0])), *command[1:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"version: {emeval.__version__}\n" in text


def test_the_page_of_threats_names_tests_that_are_there() -> None:
    """Each `file::function`, in `tests/threats/` unless it says another folder, and each test of that folder."""
    page = (ROOT / "docs" / "threats.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:tests/)?[\w/]*test_\w+\.py)(?:::(\w+))?`", page)
    assert len(named) > 30
    for file, function in named:
        path = ROOT / file if file.startswith("tests/") else ROOT / "tests" / "threats" / file
        assert path.is_file(), file
        assert f"def {function}" in path.read_text(encoding="utf-8"), (file, function)
    files = {path.name for path in (ROOT / "tests" / "threats").glob("test_*.py")}
    assert files <= {file for file, _ in named}
