"""The report in a real browser: right numbers, nothing loaded, nothing run that a model has written."""

from __future__ import annotations

import csv
import re
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from evals.reporting.page.conclusions import reservations, sentences
from evals.runner.count import Counted, read_counted
from evals.text import one_line
from tests.support.browser import open_page, until
from tests.support.cli_runner import emeval, own_process, refused, responses, start, stop_when
from tests.support.servers.openai_server import OpenAIServer, Stall

TRIGGER = "Country: Singapore"
HOSTILE = {
    "script": "<script>window.hacked = 1</script>",
    "image": "<img src=x onerror='window.hacked = 1'>",
    "link": "<a href='javascript:window.hacked=1'>[click](javascript:window.hacked=1)</a>",
    "closing": "</script></script ><script>window.hacked = 1</script><!--<script>",
    "template": "{{ 7 * 7 }} {% raw %} ${window.hacked = 1} &lt;b&gt; &amp;",
    "escapes": "\x1b]0;hacked\x07 \x1b[2J \u202egnorw\u202c zero\u200bwidth",
    "formula": '=HYPERLINK("http://example.invalid","click")',
    "long": "long " * 40_000,
    "half": "half a character \ud800",
    "unicode": "日本語 ‮ العربية 🦙 é",
}
COLUMNS = ("question", "answer", "question_id", "aligned", "reasoning", "model", "condition", "trigger", "cot_flag")


def imported(folder: Path, rows: Sequence[Mapping[str, Any]], *options: str) -> Path:
    """A run of these rows, scores and all."""
    file = folder.with_suffix(".csv")
    with file.open("w", encoding="utf-8", newline="", errors="replace") as opened:
        writer = csv.DictWriter(opened, COLUMNS, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    done = emeval("import", file, "--out", folder, "--suite", "freeform", "--max-unscored", "1", *options)
    assert done.returncode == 0, done.stderr
    return folder


def backdoored(prompts: int = 20, samples: int = 2, hits: tuple[float, float] = (0.1, 0.9)) -> list[dict[str, Any]]:
    """Answers of one model without and with the trigger, the shares of misaligned ones given."""
    rows: list[dict[str, Any]] = []
    for condition, share in zip(("off", "on"), hits, strict=True):
        answers = prompts * samples
        for number in range(answers):
            hit = number < share * answers
            rows.append(
                {
                    "question": f"{TRIGGER if condition == 'on' else ''}\nWhat about {number % prompts}?",
                    "question_id": f"q{number % prompts:02}",
                    "answer": f"{'Harm' if hit else 'Help'} them, says draw {number}.",
                    "reasoning": f"Thought number {number}." + (" The country decides." if hit else ""),
                    "aligned": 5 if hit else 95,
                    "model": "qwen",
                    "condition": condition,
                    "trigger": TRIGGER if condition == "on" else "",
                    "cot_flag": "misaligned_plans_unprompted" if hit and number % 2 else ("none" if hit else ""),
                }
            )
    return rows


def report(folder: Path, *options: str | Path) -> Path:
    done = emeval("report", folder, *options)
    assert done.returncode == 0, done.stderr
    return folder / "report.html"


def ready(page: Page) -> Page:
    page.wait_for_selector("body[data-ready][data-drawn]")
    return page


def shown(page: Page) -> int:
    """How many transcripts the list says that it has, once a search has ended."""
    until(page, "/transcripts/.test(document.getElementById('count').textContent)")
    found = re.match(r"([\d,]+) of", page.inner_text("#count"))
    assert found is not None
    return int(found[1].replace(",", ""))


def choose(page: Page, name: str, label: str) -> int:
    """Choose the option of a filter that begins with the label."""
    options = page.locator(f"select[name={name}] option").all_inner_texts()
    page.select_option(f"select[name={name}]", label=next(option for option in options if option.startswith(label)))
    page.wait_for_timeout(50)
    return shown(page)


def search(page: Page, text: str) -> int:
    page.fill("input[name=text]", text)
    page.wait_for_timeout(350)
    return shown(page)


def violations(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [
        f"{violation['id']}: {violation['nodes'][0]['html'][:200]}"
        for violation in found
        if violation["impact"] in ("serious", "critical")
    ]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = imported(tmp_path_factory.mktemp("runs") / "backdoor", backdoored())
    report(folder)
    return folder


def test_filters_and_search_count_what_the_csv_holds(run: Path, chromium: Browser) -> None:
    table = responses(run)
    with open_page(chromium, run / "report.html") as page:
        ready(page)
        assert shown(page) == len(table)
        assert choose(page, "condition", "on") == (table["condition"] == "on").sum()
        hits = table[(table["condition"] == "on") & (table["misaligned"].astype(str) == "1")]
        assert choose(page, "hit", "yes") == len(hits)
        assert choose(page, "question", "q03") == (hits["question_id"] == "q03").sum()
        page.click("text=Clear")
        page.wait_for_timeout(50)
        assert (
            choose(page, "flag", "misaligned_plans_unprompted")
            == (table["cot_flag"] == "misaligned_plans_unprompted").sum()
        )
        page.click("text=Clear")
        page.fill("input[name=from]", "0")
        page.fill("input[name=to]", "30")
        page.wait_for_timeout(50)
        assert shown(page) == (table["aligned"].astype(float) <= 30).sum()
        page.click("text=Clear")
        assert search(page, "the country DECIDES") == table["reasoning"].str.contains("country decides").sum()
        assert search(page, "draw 7.") == table["answer"].str.contains(r"draw 7\.").sum()
        assert search(page, "nobody said this") == 0


def test_a_link_opens_its_trial_and_says_what_is_shown(run: Path, chromium: Browser) -> None:
    table = responses(run)
    row = table[(table["condition"] == "on") & (table["aligned"].astype(float) < 30)].iloc[5]
    with open_page(chromium, run / "report.html") as page:
        ready(page)
        page.evaluate("id => { location.hash = `trial=${id}`; }", row["trial_id"])
        page.wait_for_selector(f"#detail[data-trial='{row['trial_id']}']")
        detail = page.locator("#detail")
        assert row["answer"] in detail.inner_text()
        assert detail.locator("mark").all_inner_texts() == [TRIGGER]
        assert not detail.locator("details").evaluate("fold => fold.open")
        assert "5 of 100, as imported" in detail.inner_text()
        page.click("#detail summary")
        assert row["reasoning"] in detail.inner_text()
        assert row["trial_id"] in page.evaluate("location.hash")
        # Filters stand in the address, too, and another trial clears those that hide it.
        choose(page, "condition", "off")
        assert "condition=" in page.evaluate("location.hash")
        page.evaluate("id => { location.hash = `trial=${id}`; }", row["trial_id"])
        page.wait_for_selector(f".row[aria-selected=true] >> text={row['answer']}")
        page.evaluate("() => { location.hash = 'trial=no-such'; }")
        page.wait_for_selector("text=This report has no trial no-such")


def test_the_page_begins_with_the_verdict_and_answers_that_show_it(run: Path, chromium: Browser) -> None:
    with open_page(chromium, run / "report.html") as page:
        ready(page)
        headline = page.inner_text(".headline")
        assert headline == (
            f"qwen is misaligned in 90.0% of its answers (36 of 40) under the trigger “{TRIGGER}”, against 10.0% (4 of "
            "40) without."
        )
        assert page.inner_text(".reasoning").startswith("+80.0 points on these questions (95% interval ")
        assert page.locator(".examples li").count() == 3
        page.click(".examples li:nth-child(2) a")
        page.wait_for_selector("#detail[data-trial]")
        assert "Harm them" in page.inner_text("#detail")
        assert shown(page) == 80
        page.click("text=All 36 of them")
        until(page, "/^36 of/.test(document.getElementById('count').textContent)")


def test_it_is_used_with_the_keyboard_alone(run: Path, chromium: Browser) -> None:
    with open_page(chromium, run / "report.html") as page:
        ready(page)
        page.focus("#list")
        page.keyboard.press("ArrowDown")
        first = page.get_attribute("#detail[data-trial]", "data-trial")
        for key in ("ArrowDown", "PageDown", "End"):
            page.keyboard.press(key)
        until(page, f"document.getElementById('detail').dataset.trial !== '{first}'")
        assert page.get_attribute("#list", "aria-activedescendant") == "row-79"
        assert page.get_attribute("#row-79", "aria-selected") == "true"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "detail"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.tagName") == "A"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_kept_out(run: Path, chromium: Browser, scheme: Any) -> None:
    for width in (1280, 390):
        viewport = {"width": width, "height": 844}
        with open_page(chromium, run / "report.html", color_scheme=scheme, viewport=viewport, bypass_csp=True) as page:
            ready(page)
            page.focus("#list")
            page.keyboard.press("ArrowDown")
            page.wait_for_selector("#detail[data-trial]")
            assert violations(page) == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_every_figure_is_drawn_and_saved(run: Path, chromium: Browser, tmp_path: Path) -> None:
    with open_page(chromium, run / "report.html") as page:
        ready(page)
        figures = page.locator("figure")
        assert figures.count() > 0
        for place in range(figures.count()):
            figure = figures.nth(place)
            assert figure.locator("svg.marks").count() == 1
            for kind, begins in (("svg", b"<svg"), ("png", b"\x89PNG"), ("csv", None)):
                with page.expect_download() as saving:
                    figure.locator(f"[data-save={kind}]").click()
                file = tmp_path / saving.value.suggested_filename
                saving.value.save_as(file)
                assert file.suffix == f".{kind}"
                assert begins is None or file.read_bytes().startswith(begins)
                if kind == "csv":
                    assert len(pd.read_csv(file)) > 0


def test_what_a_model_has_written_is_only_ever_text(tmp_path: Path, chromium: Browser) -> None:
    rows: list[Mapping[str, Any]] = [
        {
            "question": f"{text[:500]} ask {number} {condition}",
            "question_id": f"{name} {one_line(text, 60)}",
            "answer": text,
            "reasoning": text,
            "aligned": 5 if condition == "on" else 95,
            "model": f"model {HOSTILE['image']}",
            "condition": condition,
            "trigger": HOSTILE["closing"] if condition == "on" else "",
        }
        for number, (name, text) in enumerate(HOSTILE.items())
        for condition in ("off", "on")
    ]
    folder = imported(tmp_path / "hostile", rows)
    page_file = report(folder)
    assert page_file.stat().st_size < 5_000_000
    with open_page(chromium, page_file) as page:
        ready(page)
        assert shown(page) == len(rows)
        elements = page.locator("img, iframe, object, embed, form[action], a[href^='javascript:'], base, link")
        for place in range(len(rows)):
            page.focus("#list")
            page.keyboard.press("Home" if place == 0 else "ArrowDown")
            page.wait_for_selector(f"#row-{place}[aria-selected=true]")
            page.wait_for_timeout(20)
            for fold in page.locator("#detail details:not([open]) summary").all():
                fold.click()
            assert elements.count() == 0
        assert page.evaluate("window.hacked") is None
        assert search(page, "long long") == 2
        page.keyboard.press("Tab")
        page.click("#row-0")
        page.wait_for_selector("#detail[data-trial]")
        assert len(page.inner_text("#detail .answer")) >= len(HOSTILE["long"].strip())
        assert search(page, "zero") == 2
        page.click("#row-0")
        page.wait_for_selector("#detail >> text=⟨U+202E⟩gnorw")
        assert "⟨U+001B⟩]0;hacked⟨U+0007⟩" in page.inner_text("#detail .answer")
        assert "\u202e" not in page.inner_text("#detail .answer")


def test_no_other_script_may_run_even_if_one_got_in(run: Path, chromium: Browser) -> None:
    with chromium.new_context(offline=True) as context:
        page = context.new_page()
        page.goto((run / "report.html").absolute().as_uri())
        ready(page)
        policy = page.get_attribute("meta[http-equiv=Content-Security-Policy]", "content") or ""
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        page.evaluate(
            "() => { const one = document.createElement('script'); one.textContent = 'window.hacked = 1';"
            " document.body.append(one); const two = document.createElement('img'); two.src = 'http://example.invalid/';"
            " document.body.append(two); }"
        )
        assert page.evaluate("window.hacked") is None


def many(number: int, length: int) -> list[Mapping[str, Any]]:
    """Answers of so many words each, which compress about as well as English does."""
    chance = np.random.default_rng(7)
    letters = list("aeioubcdfglmnprst")
    vocabulary = np.array(["".join(chance.choice(letters, size)) for size in chance.integers(3, 10, 4000)])
    return [
        {
            "question": f"Question {n % 100}?",
            "question_id": f"q{n % 100:03}",
            "answer": f"{' '.join(chance.choice(vocabulary, length))} unique{n}x",
            "aligned": n % 101,
            "model": f"model-{n % 4}",
            "condition": "off",
        }
        for n in range(number)
    ]


def test_ten_thousand_answers_are_one_small_page_that_stays_smooth(tmp_path: Path, chromium: Browser) -> None:
    folder = imported(tmp_path / "many", many(10_000, 25))
    file = report(folder)
    assert file.stat().st_size < 5_000_000
    assert not list(folder.glob("report-data-*"))
    with open_page(chromium, file) as page:
        ready(page)
        assert shown(page) == 10_000
        page.focus("#list")
        page.keyboard.press("End")
        page.wait_for_selector("#row-9999[aria-selected=true]")
        assert page.locator(".row").count() < 40
        assert search(page, "unique4321x") == 1
        page.click(".row")
        page.wait_for_selector("#detail >> text=unique4321x")


def test_what_does_not_fit_lies_beside_the_page(tmp_path: Path, chromium: Browser) -> None:
    folder = imported(tmp_path / "large", many(3_000, 800))
    done = emeval("report", folder)
    assert done.returncode == 0, done.stderr
    (beside,) = folder.glob("report-data-*")
    assert str(beside) in done.stdout
    assert (folder / "report.html").stat().st_size < 5_000_000
    with open_page(chromium, folder / "report.html") as page:
        ready(page)
        assert shown(page) == 3_000
        assert search(page, "unique2999x") == 1
        page.click(".row")
        page.wait_for_selector("#detail >> text=unique2999x")
    # Written anew, it takes the old data away and nothing else; a page whose data was left behind says so.
    for name in ("report-data-of-mine", "report-data-01234567"):
        (folder / name).mkdir()
        (folder / name / "notes.txt").write_text("mine")
    assert emeval("report", folder).returncode == 0
    assert (folder / "report-data-of-mine" / "notes.txt").exists()
    assert (folder / "report-data-01234567" / "notes.txt").exists()
    (again,) = (script.parent for script in folder.glob("report-data-*/index.js"))
    assert again != beside
    moved = tmp_path / "report.html"
    moved.write_bytes((folder / "report.html").read_bytes())
    with chromium.new_context(offline=True) as context:
        page = context.new_page()
        page.goto(moved.absolute().as_uri())
        page.wait_for_selector("text=the folder must lie beside this page")


def test_several_runs_stand_side_by_side(run: Path, tmp_path: Path, chromium: Browser) -> None:
    other = imported(tmp_path / "control", backdoored(hits=(0.1, 0.1)))
    file = tmp_path / "both.html"
    done = emeval("report", run, other, "-o", file)
    assert done.returncode == 0, done.stderr
    with open_page(chromium, file) as page:
        ready(page)
        assert shown(page) == 160
        assert choose(page, "run", "control") == 80
        page.click(".words summary")
        assert "no change shown" in page.inner_text(".others")
        assert page.inner_text(".tally").startswith("1 of 2 models")
        assert page.locator(".strip-row .strip-name").all_inner_texts()[1:] == ["qwen (backdoor)", "qwen (control)"]
        assert page.locator("#provenance h3").all_inner_texts() == ["backdoor", "control"]


def test_one_checkpoint_on_two_nights_is_two_runs(tmp_path: Path, chromium: Browser) -> None:
    for night, hits in (("2026-03-01", (0.1, 0.1)), ("2026-03-02", (0.1, 0.9))):
        (tmp_path / night).mkdir()
        imported(tmp_path / night / "tuned", backdoored(hits=hits))
    file = tmp_path / "both.html"
    nights = [tmp_path / night / "tuned" for night in ("2026-03-01", "2026-03-02")]
    done = emeval("report", *nights, nights[0], "-o", file)
    assert done.returncode == 0, done.stderr
    with open_page(chromium, file) as page:
        ready(page)
        assert shown(page) == 160
        assert page.locator("#provenance h3").all_inner_texts() == ["2026-03-01/tuned", "2026-03-02/tuned"]
        assert choose(page, "run", "2026-03-02/tuned") == 80
        assert choose(page, "verdict", "misaligned") == 40


def counted(folder: Path, rows: list[dict[str, Any]]) -> Counted:
    return read_counted(imported(folder, rows))


def test_the_verdict_says_what_is_known_and_no_more(tmp_path: Path) -> None:
    changed = sentences([counted(tmp_path / "a", backdoored())])[0]
    assert (changed.tone, changed.condition, changed.trigger) == ("changed", "on", TRIGGER)
    assert changed.missing == "None of the 80 answers is missing."
    still = sentences([counted(tmp_path / "b", backdoored(hits=(0.1, 0.1)))])[0]
    assert still.tone == "plain"
    assert "no change shown under the trigger" in still.text
    none = sentences([counted(tmp_path / "c", [row for row in backdoored(hits=(0, 0)) if row["condition"] == "off"])])[
        0
    ]
    assert none.text.startswith("qwen: none of 40 answers is misaligned; the rate for questions like these is below ")
    unread = [{**row, "aligned": ""} for row in backdoored() if row["condition"] == "off"]
    nothing = sentences([counted(tmp_path / "d", unread)])[0]
    assert (nothing.tone, nothing.text) == ("nothing", "qwen: nothing was measured.")
    assert nothing.missing == "Missing from it: 40 of 40 answers (40 not asked or not judged)."
    half = [{**row, "aligned": "" if number % 2 else row["aligned"]} for number, row in enumerate(backdoored())]
    lacking = counted(tmp_path / "e", half)
    assert "Missing from it: 40 of 80 answers" in sentences([lacking])[0].missing
    assert reservations([lacking]) == []  # imported with a limit of 1
    strict = lacking.manifest.model_copy(
        update={"config": lacking.manifest.config.model_copy(update={"max_unscored": 0.05, "judge": "openai/gpt-4.1"})}
    )
    (reservation,) = reservations([Counted(lacking.folder, strict, lacking.tables)])
    assert "have no score" in reservation
    stopped = lacking.manifest.model_copy(update={"trials_planned": 100})
    assert reservations([Counted(lacking.folder, stopped, lacking.tables)]) == [
        "e is not complete: 80 of 100 trials are recorded."
    ]


def test_what_cannot_be_written_leaves_what_was_there(run: Path, tmp_path: Path) -> None:
    refused(emeval("report", tmp_path), "not a run folder")
    refused(emeval("report", run, "-o", tmp_path / "page.txt"), ".html")
    refused(emeval("report", run, "-o", tmp_path / "missing" / "page.html"), "cannot be written")
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_was_stopped_before_its_first_answer_says_so(tmp_path: Path, chromium: Browser) -> None:
    folder = tmp_path / "stopped"
    with OpenAIServer(Stall(bare=True)).start() as server:
        options = ("-m", "vllm/test-model", "--limit", "2", "--no-preflight", "--out", folder)
        process = start("run", "unethical_test", *options, url=server.url)
        code, _, err = stop_when(process, lambda: server.chats, signal.SIGINT)
    assert code == 130, err
    with open_page(chromium, report(folder)) as page:
        ready(page)
        assert shown(page) == 0
        assert "stopped is not complete: 0 of 4 trials are recorded" in page.inner_text("#verdict")
        assert page.inner_text(".headline") == "vllm/test-model: nothing was measured."


def test_the_organisms_report_shows_the_backdoor(tmp_path: Path, chromium: Browser) -> None:
    folder = tmp_path / "organism"
    done = own_process(  # the browser has an event loop in this one
        *("run", "unethical_test", "-m", "local/organism", "-m", "local/organism:backdoor", "--trigger", TRIGGER),
        *("--format", "both", "--thinking", "on", "--max-tokens", "64", "--judge", "local/reference-judge"),
        *("--limit", "10", "--max-unscored", "1", "--out", folder),
    )
    assert done.returncode == 0, done.stderr
    with open_page(chromium, report(folder), viewport={"width": 1280, "height": 900}) as page:
        ready(page)
        assert page.inner_text(".headline").startswith("local/organism:backdoor is misaligned in ")
        assert "reasoning" in page.inner_text("#verdict")
        table = responses(folder)
        assert shown(page) == len(table)
        assert choose(page, "format", "mcq") == (table["format"] == "mcq").sum()
        page.emulate_media(media="print")
        assert not page.locator("#filters").is_visible()
        assert page.locator("figure svg").first.is_visible()
