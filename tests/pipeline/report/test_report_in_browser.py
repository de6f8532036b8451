"""Reports in a real browser: what people see, type, click and drag."""

import contextlib
import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from tests.helpers.report_pages import AFTER, BEFORE, Archive

Opener = Callable[..., AbstractContextManager[Page]]

SCRIPT = "<script>alert(1)</script>.jpg"
LONG = "one_very_long_name_without_a_space_" * 6 + ".jpg"
NAMES = ["lake.jpg", "café.jpg", SCRIPT, LONG, "tall.png"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium without a window."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip("Chromium, which these tests need, is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run of two batches, with failures and with a missing picture."""
    archive = Archive(tmp_path_factory.mktemp("archive"))
    for name in NAMES:
        archive.add_pictures(name, (100, 300) if name == "tall.png" else (600, 400))
    archive.add_pictures("gone.jpg")
    (archive.photos / "gone.jpg").unlink()
    outcomes = [archive.outcome(name, batch="first") for name in NAMES]
    outcomes.append(archive.outcome("gone.jpg", batch="second"))
    outcomes += [
        archive.outcome("broken.jpg", "failed", 0.1, "The file is empty (0 bytes).", "first"),
        archive.outcome(f"no{SCRIPT}", "failed", 0.1, f"{SCRIPT} is damaged.", "second"),
    ]
    outcomes += [
        archive.outcome(f"{n}{LONG}", "failed", 0, "The connection broke.", "second")
        for n in range(20)
    ]
    return archive.report(outcomes, [archive.batch("first"), archive.batch("second")])


@pytest.fixture
def opened(browser: Browser, report: Path) -> Opener:
    """Opens the report and fails the test on browser errors, network requests and dialogs."""

    @contextlib.contextmanager
    def open_page(**options: object) -> Iterator[Page]:
        events: list[str] = []
        context = browser.new_context(**options)
        page = context.new_page()
        page.on("console", lambda message: events.append(message.text))
        page.on("pageerror", lambda error: events.append(str(error)))
        page.on("dialog", lambda dialog: (events.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: events.append(request.url))
        page.goto(report.as_uri())
        yield page
        context.close()
        unexpected = [event for event in events if not event.startswith("data:")]
        assert unexpected == [report.as_uri()]

    return open_page


def slider(page: Page, name: str) -> Locator:
    return page.get_by_role("slider", name=f"Before and after of {name}", exact=True)


def shown(page: Page, name: str) -> list[str]:
    """Return which of the two pictures is visible at 10 points from left to right."""
    pixels = Image.open(io.BytesIO(slider(page, name).locator("..").screenshot())).convert("RGB")
    row = np.asarray(pixels)[pixels.height // 5].astype(int)
    colors = row[[int((point + 0.5) / 10 * len(row)) for point in range(10)]]
    assert all(
        min(np.abs(color - known).max() for known in (BEFORE, AFTER)) < 40 for color in colors
    )
    return ["before" if red > blue else "after" for red, _, blue in colors]


def test_the_arrow_keys_move_the_slider(opened: Opener) -> None:
    with opened() as page:
        handle = slider(page, "lake.jpg")
        assert shown(page, "lake.jpg") == ["before"] * 5 + ["after"] * 5
        handle.focus()
        for _ in range(20):
            page.keyboard.press("ArrowRight")
        assert shown(page, "lake.jpg") == ["before"] * 7 + ["after"] * 3
        assert handle.get_attribute("aria-valuetext") == "70 % before, 30 % after"
        page.keyboard.press("Home")
        assert shown(page, "lake.jpg") == ["after"] * 10
        page.keyboard.press("End")
        assert shown(page, "lake.jpg") == ["before"] * 10
        assert shown(page, "café.jpg") == ["before"] * 5 + ["after"] * 5


def test_a_click_moves_the_line_to_the_pointer(opened: Opener) -> None:
    with opened() as page:
        slider(page, "lake.jpg").scroll_into_view_if_needed()
        box = slider(page, "lake.jpg").locator("..").bounding_box()
        assert box is not None
        for part in (0.2, 0.8):
            page.mouse.click(box["x"] + part * box["width"], box["y"] + box["height"] / 3)
            before = round(10 * part)
            assert shown(page, "lake.jpg") == ["before"] * before + ["after"] * (10 - before)


def test_the_tab_key_reaches_every_control_and_shows_its_focus(opened: Opener) -> None:
    focused = """() => {
        const bar = document.querySelector(".bar");
        const element = document.activeElement;
        const shown = element.type === "range" ? element.parentElement : element;
        const box = shown.getBoundingClientRect();
        const style = getComputedStyle(shown);
        return {
            name: element.id || element.getAttribute("aria-label") || element.textContent.trim(),
            outline: style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth),
            visible: box.top >= (bar.contains(element) ? 0 : bar.getBoundingClientRect().bottom)
                && box.bottom <= innerHeight,
        };
    }"""
    with opened() as page:
        reached = []
        for _ in range(40):
            page.keyboard.press("Tab")
            state = page.evaluate(focused)
            if page.evaluate("document.activeElement === document.body"):
                break
            assert state["outline"] >= 2, state
            assert state["visible"], state
            reached.append(state["name"])
        assert reached[:6] == ["search", "batch", "Failures", "Pictures", "Timings", "Recipe"]
        sliders = [name for name in reached if name.startswith("Before and after of ")]
        assert len(sliders) == len(NAMES)
        assert len(reached) == page.locator("a, input, select, [tabindex='0']").count()


def test_the_slash_key_opens_the_search_which_filters(opened: Opener) -> None:
    with opened() as page:
        visible = page.locator(".entry:visible")
        everything = visible.count()
        assert everything == len(NAMES) + 1 + 22
        slider(page, "lake.jpg").focus()
        page.keyboard.press("/")
        # The accent is a character of its own, as in names on some file systems.
        page.keyboard.insert_text("CAFE\u0301")
        assert page.locator("#search").input_value() == "CAFE\u0301"
        assert visible.count() == 1
        assert "café.jpg" in visible.inner_text()
        assert page.locator("#found").inner_text() == "0 failures, 1 picture"
        assert page.get_by_text("No listed failure matches.").is_visible()
        page.keyboard.press("Escape")
        assert visible.count() == everything
        page.keyboard.insert_text("damaged </script>")
        assert visible.count() == 1
        assert SCRIPT in visible.inner_text()
        # Within the search field, a slash is an ordinary character.
        page.keyboard.press("/")
        assert page.locator("#search").input_value() == "damaged </script>/"
        assert page.locator("#found").inner_text() == "0 failures, 0 pictures"


def test_choosing_a_batch_hides_the_others(opened: Opener) -> None:
    with opened() as page:
        page.get_by_label("Batch").select_option("second")
        assert page.locator("#found").inner_text() == "21 failures, 1 picture"
        assert page.locator("#recipe .batch:visible").count() == 1
        assert page.locator("#recipe h3:visible").inner_text() == "second"
        page.locator("#search").fill("connection")
        assert page.locator("#found").inner_text() == "20 failures, 0 pictures"
        page.get_by_label("Batch").select_option("All batches")
        page.locator("#search").fill("")
        assert page.locator(".entry:visible").count() == len(NAMES) + 23


def test_names_are_not_executed(opened: Opener) -> None:
    with opened() as page:
        assert slider(page, "script>.jpg").count() == 1
        assert page.locator("script").count() == 1
        assert page.get_by_text(f"{SCRIPT} is damaged.").is_visible()


def test_both_pictures_have_the_same_size(opened: Opener) -> None:
    with opened() as page:
        for name in ("lake.jpg", "tall.png"):
            stage = slider(page, name).locator("..")
            boxes = [stage.locator(f".{which}").bounding_box() for which in ("before", "after")]
            assert boxes[0] == boxes[1]
            box = boxes[0]
            assert box is not None
            ratio = 600 / 400 if name == "lake.jpg" else 100 / 300
            assert box["width"] / box["height"] == pytest.approx(ratio, rel=0.02)
            assert max(box["width"], box["height"]) > 250


# Returns each text of the page with its contrast to the background.
CONTRASTS = """() => {
    const channels = (color) => color.match(/[\\d.]+/g).map(Number);
    const luminance = (color) => {
        const [r, g, b] = channels(color).map((c) => c / 255)
            .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (element) => {
        for (; element; element = element.parentElement) {
            const color = getComputedStyle(element).backgroundColor;
            if ((channels(color)[3] ?? 1) === 1) return color;
        }
    };
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    while (texts.nextNode()) {
        const element = texts.currentNode.parentElement;
        const text = texts.currentNode.textContent.trim();
        if (!text || !element.checkVisibility() || element.matches(".tag, script, title")) continue;
        const style = getComputedStyle(element);
        const ink = element instanceof SVGElement ? style.fill : style.color;
        const [low, high] = [luminance(ink), luminance(behind(element))].sort((a, b) => a - b);
        found.push([(high + 0.05) / (low + 0.05), text]);
    }
    return found;
}"""


def test_texts_are_readable_in_light_and_dark(opened: Opener) -> None:
    backgrounds = []
    for scheme in ("light", "dark"):
        with opened(color_scheme=scheme) as page:
            screenshot = Image.open(io.BytesIO(page.screenshot())).convert("L")
            backgrounds.append(screenshot.getpixel((2, 2)))
            contrasts = page.evaluate(CONTRASTS)
            assert len(contrasts) > 50
            assert min(contrasts) >= [4.5], min(contrasts)
    assert backgrounds[0] > 230
    assert backgrounds[1] < 40


@pytest.mark.parametrize("width", [320, 360, 1920])
def test_nothing_is_wider_than_the_screen(opened: Opener, width: int) -> None:
    with opened(viewport={"width": width, "height": 740}) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == width
        inside = """elements => elements.every(element => {
            const box = element.getBoundingClientRect();
            return box.left >= 0 && box.right <= innerWidth;
        })"""
        assert page.locator("p, li, dd, img, h1, nav a, .compare").evaluate_all(inside)


def test_a_tap_moves_the_line(opened: Opener) -> None:
    phone = {"viewport": {"width": 390, "height": 800}, "has_touch": True, "is_mobile": True}
    with opened(**phone) as page:
        slider(page, "lake.jpg").scroll_into_view_if_needed()
        box = slider(page, "lake.jpg").locator("..").bounding_box()
        assert box is not None
        page.touchscreen.tap(box["x"] + 0.3 * box["width"], box["y"] + box["height"] / 3)
        assert shown(page, "lake.jpg") == ["before"] * 3 + ["after"] * 7
