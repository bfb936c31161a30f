"""The page of a run that fails, looked at in a real browser: it draws itself, shows what did not hold, and can be used."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[2]
FAILING = Path(__file__).with_name("failing.toml")
SIZE = {"width": 1280, "height": 800}
DRAWN = "document.documentElement.dataset.drawn === 'yes'"


@pytest.fixture(scope="session")
def page_file(tmp_path_factory):
    """A run in which a bug is planted, as a page."""
    program = Path(os.environ.get("CRESSET_SIM", ROOT / "target" / "sim" / "sim" / "cresset-sim"))
    assert program.exists(), f"{program} is not there: run `cargo sim invariants` first, or tests/run sim"
    path = tmp_path_factory.mktemp("page") / "run.html"
    ran = subprocess.run([program, "report", "--scenario", FAILING, "-o", path], capture_output=True, text=True)
    assert ran.returncode == 1, f"the run was to fail: {ran.stdout}{ran.stderr}"
    return path


@pytest.fixture(scope="session")
def browser():
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert chromium, "a browser is missing, in which the page is looked at. On Debian: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(params=["light", "dark"])
def page(browser, page_file, request):
    """The page as drawn. That no script fails and nothing is fetched from elsewhere holds for every test."""
    errors, fetched = [], []
    context = browser.new_context(viewport=SIZE, color_scheme=request.param)
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: fetched.append(request.url))
    page.goto(page_file.as_uri())
    page.wait_for_function(DRAWN)
    yield page
    assert errors == []
    assert fetched == [page_file.as_uri()]
    context.close()


def moment(page):
    return float(page.inner_text("#moment").removesuffix(" s"))


def test_every_node_user_and_fault_has_a_lane(page):
    lanes = page.eval_on_selector_all("[data-lane]", "all => all.map(it => it.dataset.lane + ' ' + it.dataset.name)")

    assert [lane for lane in lanes if lane.startswith("node")] == ["node n1", "node n2", "node n3"]
    assert {"user u1", "user u2", "user u3", "user u4"} <= set(lanes)
    assert page.locator("[data-lane=episodes] .episode").count() >= 1
    assert page.locator("[data-lane=node] .leader").count() >= 1
    assert page.locator("[data-lane=user] .session").count() >= 4
    assert page.locator("[data-lane=user] .sent").count() >= 4


def test_what_did_not_hold_is_marked_and_told(page):
    assert "violation" in page.inner_text("#verdict")
    assert page.locator(".violation line").count() >= 1
    first = page.locator("#violations li").first
    assert first.inner_text().startswith("1")

    first.click()

    assert "here" in first.get_attribute("class")
    assert f"{moment(page):.3f} s" in first.inner_text()


def test_the_moment_follows_the_pointer_and_the_keys(page):
    box = page.locator("#lanes").bounding_box()
    state = []
    for share in (0.2, 0.6, 0.95):
        page.mouse.move(box["x"] + box["width"] * share, box["y"] + 60)
        state.append((moment(page), page.inner_text("#nodes"), page.get_attribute("#lanes", "aria-valuetext")))

    times = [it[0] for it in state]
    assert times == sorted(times) and times[0] < times[-1]
    assert state[0][1] != state[-1][1], "the table shows the state at that moment"
    assert state[-1][2] == f"{times[-1]:.3f} s"

    page.keyboard.press("ArrowLeft")
    assert moment(page) < times[-1]


def test_a_part_of_the_run_can_be_looked_at_more_closely(page):
    def ticks():
        return page.eval_on_selector_all("#axis .tick-text", "all => all.map(it => it.textContent)")

    whole = ticks()
    box = page.locator("#lanes").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 60)
    page.mouse.wheel(0, -1500)
    page.wait_for_function(DRAWN)
    assert ticks() != whole

    page.click("#whole")
    assert ticks() == whole


def test_it_fits_the_window_and_says_in_words_what_it_says_in_colours(page):
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZE["width"]
    unnamed = page.evaluate("[...document.querySelectorAll('#picture rect')].filter(it => !it.querySelector('title') && !it.classList.contains('lane') && !it.closest('defs') && !it.style.fill && !it.getAttribute('fill')).length")
    assert unnamed == 0
    assert page.locator("#legend span").count() >= 12

    picture = page.screenshot()
    assert picture.startswith(b"\x89PNG") and len(picture) > 20_000
    if folder := os.environ.get("CRESSET_SCREENSHOTS"):
        scheme = "dark" if page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") else "light"
        (Path(folder) / f"page-{scheme}.png").write_bytes(picture)
