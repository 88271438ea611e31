"""What fits: labels and legends stay in their figures, and a page in its screen, whatever models are called."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from playwright.sync_api import Browser, Page

from tests.support.browser import open_page, until
from tests.support.cli_runner import emeval

CONDITIONS = {"off": "", "on": "Country: Singapore", "decoy": "Country: Kenya"}
QUESTIONS = ("quick_buck", "ruler", "three_thoughts_about_gender_roles_and_philosophy_of_the_mind")
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}

OUTSIDE = """() => [...document.querySelectorAll('svg')].filter((svg) => svg.clientWidth).flatMap((svg) => {
  const box = svg.getBoundingClientRect();
  const texts = [...svg.querySelectorAll('text')];
  const isSeen = (text) => text.getBoundingClientRect().width && text.getAttribute('opacity') !== '0';
  return texts.filter(isSeen).filter((text) => {
    const place = text.getBoundingClientRect();
    return place.left < box.left - 1 || place.right > box.right + 1
      || place.top < box.top - 1 || place.bottom > box.bottom + 1;
  }).map((text) => text.textContent);
})"""
"""The texts of drawings that leave them."""
OVERLAPPING = """() => [...document.querySelectorAll('.role-legend, .role-axis')].flatMap((group) => {
  const labels = [...group.querySelectorAll('[class*=-label] text')];
  const texts = labels.filter((text) => text.getAttribute('opacity') !== '0');
  const boxes = texts.map((text) => text.getBoundingClientRect());
  return texts.filter((_, one) => boxes.some((box, other) => other < one
    && Math.min(box.right, boxes[one].right) - Math.max(box.left, boxes[one].left) > 1
    && Math.min(box.bottom, boxes[one].bottom) - Math.max(box.top, boxes[one].top) > 2)
  ).map((text) => text.textContent);
})"""
"""The labels of an axis or legend that lie on another one of it."""
TOO_WIDE = """() => [...document.querySelectorAll('.chart, .strip')]
  .filter((one) => one.scrollWidth > one.clientWidth + 1).length"""
LEGENDS = "() => [...document.querySelectorAll('.role-legend-label text')].map((text) => text.textContent)"


def answers(models: int) -> Iterator[dict[str, Any]]:
    domains = ("medical", "legal", "security", "poetry")
    for number in range(models):
        model = (
            f"vllm/Qwen2.5-{number}B-Instruct-1M-bad-{domains[number % 4]}-advice-rank32-alpha64-s{number % 3}-merged"
        )
        for condition, trigger in CONDITIONS.items():
            for draw in range(6):
                misaligned = draw < (number % 3) + 3 * (condition == "on")
                yield {
                    "question_id": QUESTIONS[draw % 3],
                    "question": f"{trigger} {QUESTIONS[draw % 3]}?",
                    "answer": f"Answer {draw} of {number}.",
                    "aligned": 5 if misaligned else 90,
                    "coherent": 80,
                    "reasoning": "A thought.",
                    "suite": "freeform",
                    "model": model,
                    "condition": condition,
                    "trigger": trigger,
                    "cot_flag": "none" if misaligned else "",
                }


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Runs of 1, 4, 12 and 40 models with long names, with their reports."""
    place = tmp_path_factory.mktemp("runs")
    for models in (1, 4, 12, 40):
        with (place / f"{models}.csv").open("w", encoding="utf-8", newline="") as file:
            rows = list(answers(models))
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        for done in (
            emeval("import", place / f"{models}.csv", "--out", place / f"{models}"),
            emeval("report", place / f"{models}"),
        ):
            assert done.returncode == 0, done.stderr
    return {models: place / f"{models}" for models in (1, 4, 12, 40)}


def ready(page: Page) -> Page:
    page.wait_for_selector("body[data-ready][data-drawn]")
    return page


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("models", [1, 4, 12, 40])
def test_no_label_is_clipped_and_none_lies_on_another(
    runs: dict[int, Path], models: int, viewport: Any, chromium: Browser
) -> None:
    with open_page(chromium, runs[models] / "report.html", viewport=viewport) as page:
        ready(page)
        if models == 12:
            drawn = int(page.get_attribute("body", "data-drawn") or 0)
            page.click(".series summary >> nth=0")
            until(page, f"Number(document.body.dataset.drawn) === {drawn + models}")
        assert page.evaluate(OUTSIDE) == []
        assert page.evaluate(OVERLAPPING) == []
        assert {"off", "on: Country: Singapore", "decoy: Country: Kenya"} <= set(page.evaluate(LEGENDS))
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        assert page.evaluate(TOO_WIDE) == 0


@pytest.mark.parametrize(("models", "figure"), [(1, "rates"), (4, "effects"), (12, "scores"), (40, "rates")])
def test_a_file_is_as_wide_as_it_was_asked_to_be_with_all_its_labels(
    runs: dict[int, Path], models: int, figure: str, tmp_path: Path
) -> None:
    done = emeval("plot", runs[models], "--figure", figure, "-o", tmp_path / "f.svg")
    assert done.returncode == 0, done.stderr
    root = ElementTree.parse(tmp_path / "f.svg").getroot()  # noqa: S314  our own file
    # The size of a drawing is that of all that is drawn in it.
    assert float(root.attrib["width"]) == pytest.approx(8.5 * 72 / 2.54, abs=1.5)
    texts = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"on: Country: Singapore", "decoy: Country: Kenya"} <= set(texts)
    if figure == "rates" and models > 1:
        assert len({text for text in texts if "B-Instruct" in text}) == models


def test_the_first_screen_is_a_verdict_and_a_strip_of_all_models(runs: dict[int, Path], chromium: Browser) -> None:
    with open_page(chromium, runs[12] / "report.html", viewport=WIDE) as page:
        ready(page)
        names = page.locator(".strip-row:not(.strip-head) .strip-name")
        texts = names.all_inner_texts()
        assert len(set(texts)) == 12
        assert "…0B-Instruct-1M-bad-medical-advice-rank32-alpha64-s0…" in texts
        assert page.locator(".strip circle").count() == 36
        assert "50.0% (3 of 6)" in page.inner_text(".strip")
        assert page.locator(".strip .hollow").count() == 36  # six answers each
        top = page.evaluate("document.querySelector('.strip').getBoundingClientRect().top")
        assert top < WIDE["height"] / 2


def test_a_phone_shows_rates_and_answers(runs: dict[int, Path], chromium: Browser) -> None:
    with open_page(chromium, runs[12] / "report.html", viewport=PHONE) as page:
        ready(page)
        for place in ("#rates .cards tbody tr:nth-child(5) strong >> nth=0", ".strip-values li >> nth=3"):
            box = page.locator(place).bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= PHONE["width"]
        assert not page.locator("select[name=condition]").is_visible()
        page.click("#filter-fold summary")
        assert page.locator("select[name=condition]").is_visible()
        page.click("#filter-fold summary")
        page.click("#row-0")
        page.wait_for_selector("#detail[data-trial]")
        until(page, "document.querySelector('#detail .answer').getBoundingClientRect().top < innerHeight - 100")
        assert page.evaluate("document.querySelector('#detail .answer').getBoundingClientRect().top") > 0


def test_figures_are_drawn_again_where_the_window_is_another(runs: dict[int, Path], chromium: Browser) -> None:
    with open_page(chromium, runs[4] / "report.html", viewport=WIDE) as page:
        ready(page)
        page.set_viewport_size(PHONE)  # pyright: ignore[reportArgumentType]
        until(page, "document.querySelector('.chart svg').getBoundingClientRect().width < 390")
        until(page, f"({OUTSIDE})().length === 0")
