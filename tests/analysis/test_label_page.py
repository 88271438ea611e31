"""The labelling page in a real browser: by keyboard alone, with hostile answers, and where nothing is kept."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from evals.analysis.labelling.label_items import LabelItem, ReferenceText
from evals.analysis.labelling.page import label_page
from evals.analysis.labelling.sample import sample_run
from evals.scoring.labels import read_label_rows, read_sample
from tests.support.answer_files import answered
from tests.support.browser import open_page, until, watched
from tests.support.cli_runner import emeval
from tests.support.labelling_runs import make_run, to_label

HOSTILE = (
    "</script><script>document.title = 'taken'</script>",
    "<!--<script>",
    "--></SCRIPT ><img src=x onerror=\"document.title = 'taken'\">",
    "{{ 7 * 7 }} {% raw %} ${document.title} `x` \\u003cb\\u003e &lt;b&gt; &amp;",
    "line\u2028separator\u2029and\x00nul\x0b\x1b[31mred\x7f",
    "\u202eright to left\u202c \u200f\u2066isolate",
    "javascript:alert(1) http://example.com/x.png",
    "\"quotes\" 'single' \\ back\\\\slash\\n",
    "x" * 5_000,
    "many\n\n\nlines \n" * 300,
)


def items(count: int, answer: str = "Answer {}.") -> list[LabelItem]:
    return [
        LabelItem(f"bcdfg-{n:03}", "misaligned", f"Question {n}?", (), answer.format(n)) for n in range(1, count + 1)
    ]


def write_page(path: Path, shown: list[LabelItem], run_id: str = "night-1") -> Path:
    path.write_text(label_page(run_id, shown), encoding="utf-8", newline="")
    return path


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def status(page: Page) -> str:
    return page.locator("#status").inner_text()


def place(page: Page) -> str:
    return page.locator("#place").inner_text()


def shows(at: str, count: str) -> str:
    """What is true once a page shows this: what is kept reaches a new page when the browser gets round to it."""
    texts = "['place', 'count'].map(id => document.getElementById(id).textContent)"
    return f"JSON.stringify({texts}) === {json.dumps(json.dumps([at, count], separators=(',', ':')))}"


def downloaded(page: Page, path: Path) -> list[dict[str, str]]:
    with page.expect_download() as waiting:
        press(page, "s")
    waiting.value.save_as(path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_labelling_by_keyboard_alone_ends_in_labels_csv(tmp_path: Path, chromium: Browser) -> None:
    rows = [answered(n, aligned=("5", "95", "28", "REFUSAL")[n % 4]) for n in range(12)]
    folder = make_run(tmp_path / "night 1", rows)
    sample_run(folder, 12, 0)
    shown = to_label(folder)
    file = tmp_path / "back.csv"
    with open_page(chromium, folder / "labels" / "label.html", accept_downloads=True) as page:
        assert place(page) == "Answer 1 of 12"
        assert page.locator("#question").inner_text() == shown[0]["question"]
        assert page.locator("#answer").inner_text() == shown[0]["answer"]
        press(page, "y")
        assert place(page) == "Answer 2 of 12"
        assert status(page) == "Labelled yes. Answer 2 of 12. 1 of 12 labelled."
        assert page.locator("#answer").inner_text() == shown[1]["answer"]
        press(page, "n", "y")
        assert place(page) == "Answer 4 of 12"
        press(page, "z")  # the third was a slip
        assert (place(page), page.locator("#chip").is_visible()) == ("Answer 3 of 12", False)
        assert status(page) == "Undone. Answer 3 of 12. 2 of 12 labelled."
        press(page, "e")
        page.keyboard.type("=not sure, \"y\" or 'n'")
        press(page, "Enter")
        page.keyboard.type("gs")
        press(page, "Escape", "u", "r", "j", "ArrowRight", "n", "g")
        assert place(page) == "Answer 9 of 12"
        press(page, "k", "k", "ArrowLeft")
        assert place(page) == "Answer 6 of 12"
        press(page, "g")
        assert place(page) == "Answer 8 of 12"
        assert page.locator("#count").inner_text() == "5 of 12 labelled"
        with page.expect_download() as waiting:
            press(page, "s")
        assert waiting.value.suggested_filename == "night-1-labels.csv"
        waiting.value.save_as(file)
        assert status(page) == "Downloaded night-1-labels.csv. 5 of 12 labelled."
    done = emeval("label", "import", folder, file, "--labeller", "ann")
    assert done.returncode == 0, done.stderr
    assert "5 of 12 sampled answers are labelled: 1 yes, 2 no, 1 refused, 1 unsure." in done.stdout
    assert "Rates corrected by the labels: " in done.stdout
    sample = read_sample(folder)
    assert sample is not None
    trials = [row.trial_id for row in sample.rows]
    note = "=not sure, \"y\" or 'n'\ngs"
    assert [(row.trial_id, row.label, row.note) for row in read_label_rows(folder)] == [
        (trials[0], "yes", ""),
        (trials[1], "no", ""),
        (trials[2], "unsure", note),
        (trials[3], "refused", ""),
        (trials[6], "no", ""),
    ]


def test_hostile_texts_are_shown_as_they_are_and_do_nothing(tmp_path: Path, chromium: Browser) -> None:
    shown = [
        LabelItem(f"bcdfg-{n:03}", "lies", text, (ReferenceText(f"Fact {text}", text),), text)
        for n, text in enumerate(HOSTILE, start=1)
    ]
    file = write_page(tmp_path / "label.html", shown, run_id="</title><script>document.title = 'taken'</script>")
    with open_page(chromium, file) as page:
        for text in HOSTILE:
            found = [
                page.locator(name).evaluate("it => it.textContent")
                for name in ("#question", "#answer", "#reference .text")
            ]
            assert found == [text] * 3
            assert page.locator("#reference h3").evaluate("it => it.textContent") == f"Fact {text}"
            assert page.evaluate("document.scripts.length") == 2
            assert page.locator("img, iframe, link, a, object, embed, form").count() == 0
            press(page, "j")
        assert page.title().startswith("Label answers: </title><script>")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_no_script_but_its_own_runs_in_the_page(tmp_path: Path, chromium: Browser) -> None:
    file = write_page(tmp_path / "label.html", items(2))
    heard: list[str] = []
    with chromium.new_context(offline=True) as context:
        page = context.new_page()
        with watched(page, heard):
            page.goto(file.as_uri())
            assert heard == []
            page.evaluate(
                "const it = document.createElement('script'); it.textContent = \"document.title = 'taken'\";"
                "document.body.append(it);"
                "document.body.insertAdjacentHTML('beforeend', \"<img src='x.png' onerror='document.title = 1'>\");"
            )
            page.wait_for_timeout(200)
        assert page.title() == "Label answers: night-1"
        assert sum("Content Security Policy" in line for line in heard) >= 2


def test_labels_are_still_there_when_the_page_is_opened_again(tmp_path: Path, chromium: Browser) -> None:
    file = write_page(tmp_path / "label.html", items(4))
    other = write_page(
        tmp_path / "other.html", [item._replace(label_id=item.label_id.replace("b", "z")) for item in items(4)]
    )
    with open_page(chromium, file) as page:
        press(page, "y", "n", "e")
        page.keyboard.type("odd")
        until(page, "(localStorage.getItem('emeval-labels-bcdfg') ?? '').includes('odd')")
        page.reload()
        until(page, shows("Answer 3 of 4", "2 of 4 labelled"))
        assert page.locator("#note").input_value() == "odd"
        second = page.context.new_page()
        second.goto(file.as_uri())
        until(second, shows("Answer 3 of 4", "2 of 4 labelled"))
        press(second, "u")
        until(second, shows("Answer 4 of 4", "3 of 4 labelled"))
        page.bring_to_front()
        until(page, shows("Answer 3 of 4", "3 of 4 labelled"))
        press(page, "j", "r")
        assert status(page) == "Labelled refused. All 4 are labelled. Download the labels with s."
        second.goto(other.as_uri())
        assert second.locator("#count").inner_text() == "0 of 4 labelled"
        store = "text => localStorage.setItem('emeval-labels-bcdfg', text)"
        page.evaluate(store, "{broken")
        page.reload()
        until(page, "document.getElementById('warning').textContent.includes('could not be read')")
        page.evaluate(
            "localStorage.setItem('emeval-labels-bcdfg', JSON.stringify({said: {'bcdfg-001': {label: 'maybe'}}}))"
        )
        page.reload()
        until(page, f"{shows('Answer 1 of 4', '0 of 4 labelled')} && document.getElementById('warning').hidden")


def test_what_another_tab_kept_unheard_is_not_written_over(tmp_path: Path, chromium: Browser) -> None:
    """Storage events may come late: a label is added to what is kept by then, not to what was."""
    file = write_page(tmp_path / "label.html", items(4))
    names = "['storage', 'focus', 'visibilitychange']"
    deaf = f"for (const name of {names}) addEventListener(name, event => event.stopImmediatePropagation(), true);"
    with open_page(chromium, file) as page:
        press(page, "y")
        second = page.context.new_page()
        second.add_init_script(deaf)
        second.goto(file.as_uri())
        store = "localStorage.getItem('emeval-labels-bcdfg') ?? ''"
        press(page, "n")
        until(second, f"({store}).includes('bcdfg-002\":')")
        assert second.locator("#count").inner_text() != "2 of 4 labelled", "it has heard nothing of it"
        press(second, *("j" if place(second) == "Answer 2 of 4" else "jj"), "r")
        kept = second.evaluate(f"JSON.parse({store}).said")
    assert {name: one["label"] for name, one in kept.items()} == {
        "bcdfg-001": "yes",
        "bcdfg-002": "no",
        "bcdfg-003": "refused",
    }


def test_a_page_that_is_only_opened_leaves_what_is_kept(tmp_path: Path, chromium: Browser) -> None:
    file = write_page(tmp_path / "label.html", items(4))
    with open_page(chromium, file) as page:
        assert page.evaluate("localStorage.length") == 0


def test_where_nothing_is_kept_the_page_says_so_and_labels_all_the_same(tmp_path: Path, chromium: Browser) -> None:
    """A page without an address of its own has no store, as some settings have it for files."""
    html = label_page("night-1", items(3))
    heard: list[str] = []
    with chromium.new_context(offline=True, accept_downloads=True) as context:
        page = context.new_page()
        with watched(page, heard):
            page.set_content(html)
            assert "does not keep what you label" in page.locator("#warning").inner_text()
            press(page, "y", "n")
            rows = downloaded(page, tmp_path / "l.csv")
        assert heard == []
    assert [(row["label_id"], row["label"]) for row in rows] == [
        ("bcdfg-001", "yes"),
        ("bcdfg-002", "no"),
        ("bcdfg-003", ""),
    ]


def test_a_key_with_another_one_held_labels_nothing(tmp_path: Path, chromium: Browser) -> None:
    with open_page(chromium, write_page(tmp_path / "label.html", items(3))) as page:
        press(page, "Control+y", "Alt+n", "Meta+r", "x", "1", "Tab", "Shift+Tab")
        assert (place(page), page.locator("#count").inner_text()) == ("Answer 1 of 3", "0 of 3 labelled")
        press(page, "Shift+Y")
        assert page.locator("#count").inner_text() == "1 of 3 labelled"
        page.keyboard.down("n")
        page.keyboard.down("n")  # what holding a key down sends
        page.keyboard.up("n")
        assert page.locator("#count").inner_text() == "2 of 3 labelled"
        press(page, "k", "k", "k", "k")
        assert status(page) == "This is the first answer. 2 of 3 labelled."


def focused(page: Page) -> str:
    return page.evaluate(
        "document.activeElement.id || document.activeElement.dataset.label || document.activeElement.className"
    )


def test_the_tab_key_reaches_everything_and_what_has_the_focus_can_be_seen(tmp_path: Path, chromium: Browser) -> None:
    with open_page(chromium, write_page(tmp_path / "label.html", items(3, "Long. " * 3_000))) as page:
        assert focused(page) == "answer"
        press(page, "PageDown")
        until(page, "document.getElementById('answer').scrollTop > 0")
        met = []
        for _ in range(11):
            press(page, "Tab")
            met.append(focused(page))
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
            assert page.evaluate("parseFloat(getComputedStyle(document.activeElement).outlineWidth)") >= 2
        assert met[:10] == [
            *("yes", "no", "refused", "unsure", "note", "previous", "next", "undo", "unlabelled", "save")
        ]
        assert "guideline" in met
        page.locator("[data-label=refused]").focus()
        press(page, "Enter")
        assert page.locator("#count").inner_text() == "1 of 3 labelled"
        assert page.locator("#answer").evaluate("it => it.scrollTop") == 0
        press(page, "k")
        assert page.locator("[data-label=refused]").get_attribute("aria-pressed") == "true"
        assert page.locator("[data-label=yes]").get_attribute("aria-pressed") == "false"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 720), (360, 640)])
def test_every_text_has_contrast_and_the_labels_are_in_view(
    tmp_path: Path, chromium: Browser, scheme: Any, size: tuple[int, int]
) -> None:
    shown = [LabelItem("bcdfg-001", "wrong", "Why? " * 50, (ReferenceText("Known", "So. " * 90),), "Long. " * 900)] * 2
    options: dict[str, Any] = {"color_scheme": scheme, "viewport": {"width": size[0], "height": size[1]}}
    with open_page(chromium, write_page(tmp_path / "label.html", shown), **options) as page:
        press(page, "y", "k")
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        for label in ("yes", "no", "refused", "unsure"):
            box = page.locator(f"[data-label={label}]").bounding_box()
            assert box is not None
            assert box["y"] >= 0
            assert box["y"] + box["height"] <= size[1]
            assert box["height"] >= 40
        ratios = page.evaluate(CONTRASTS)
        assert len(ratios) > 20
        assert not {text: ratio for text, ratio in ratios.items() if ratio < 4.5}


CONTRASTS = """() => {
  const light = (text) => {
    const [r, g, b] = text.match(/[0-9.]+/g).map(Number).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (it) => {
    const colour = getComputedStyle(it).backgroundColor;
    return colour === "rgba(0, 0, 0, 0)" && it.parentElement ? behind(it.parentElement) : colour;
  };
  const found = {};
  for (const it of document.body.querySelectorAll("*")) {
    const own = [...it.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !it.checkVisibility() || ["SCRIPT", "NOSCRIPT"].includes(it.tagName)) continue;
    const [high, low] = [light(getComputedStyle(it).color), light(behind(it))].sort((a, b) => b - a);
    found[`${it.tagName} ${it.textContent.trim().slice(0, 30)}`] = (high + 0.05) / (low + 0.05);
  }
  return found;
}"""
"""WCAG 2.2 contrast ratio of every element with text of its own."""
