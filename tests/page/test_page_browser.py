"""The page in headless Chromium: no complaint, no request, and every control does what it says."""

import pytest
from helpers.browser import CHROMIUM, Browser
from helpers.pages import NAN, SIZE, cell, page_table, report, rows

from vxbench.page import PageTable, Report, write_report

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")]

OWNED = "</script><script>document.title = 'owned'</script><img src=x onerror=\"document.title = 'owned'\">"
CLIPS = (f"clip a {OWNED}", f"clip b {OWNED}")
HEADS = "[...document.querySelectorAll('#table-fep_1 table.results thead tr:last-child th')]"
NAMES = (
    "[...document.querySelectorAll('#table-fep_1 .results tbody:first-of-type th[scope=row]')]"
    ".map((head) => head.textContent)"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    opened = Browser(tmp_path_factory.mktemp("chromium"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    page = page_table(CLIPS, f"error: {OWNED}", OWNED, f"mine {OWNED}")
    tsm = cell("step", rows({"dc": [3.0, NAN], "deletion": [0.1, 0.2]}, CLIPS, reason=OWNED), model="tsm")
    content = report(PageTable(page.name, page.table, [*page.cells, tsm]), CLIPS)
    return write_report(content, tmp_path_factory.mktemp("report"))


@pytest.fixture
def page(browser, path):
    """The page, just opened; whatever a test does to it, it must not complain."""
    browser.complaints.clear()
    browser.open(path)
    yield browser
    assert browser.complaints == []
    assert [address for address in browser.requests if not address.startswith("data:")] == [path.as_uri()]
    assert "owned" not in browser.run("document.title")


def change(page, form, control, value, event="change"):
    """What a user does with a control."""
    field = f"document.getElementById('{form}').elements['{control}']"
    page.run(f"{field}.value = {value!r}; {field}.dispatchEvent(new Event('{event}'))")
    page.run("new Promise((done) => setTimeout(done, 100))")


def colour(page, figure: int, x: float, y: float) -> list[int]:
    """Red, green, blue of a picture at a place counted in the clip's own pixels: 0.5 is the middle of the first."""
    return page.run(f"""(() => {{
        const canvas = document.querySelectorAll('#gallery-maps canvas')[{figure}];
        const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', {{ willReadFrequently: true }});
        copy.drawImage(canvas, 0, 0);
        const zoom = canvas.width / {SIZE[2]};
        return [...copy.getImageData({x} * zoom, {y} * zoom, 1, 1).data].slice(0, 3);
    }})()""")


def test_the_collector_of_complaints_hears(browser, path):
    browser.open(path)
    browser.run("console.error('heard')")
    browser.run("setTimeout(() => { throw new Error('thrown') }); new Promise((done) => setTimeout(done, 50))")
    browser.run("document.body.append(Object.assign(new Image(), { src: 'https://localhost/x.png' }))")
    browser.run("new Promise((done) => setTimeout(done, 100))")
    said = " ".join(browser.complaints)
    assert "heard" in said
    assert "thrown" in said
    assert "Content Security Policy" in said


def test_tables_sections_and_names_are_there(page):
    assert page.run("document.querySelectorAll('table').length") >= 6
    sections = page.run("[...document.querySelectorAll('main > section')].map((section) => section.id)")
    assert sections == ["overview", "table-fep_1", "curves", "gallery", "values", "losses", "origins"]
    assert page.run(f"document.body.textContent.includes({CLIPS[0]!r})")
    assert page.run("document.images.length") == 0  # none came of a name


def test_clicking_a_head_sorts_numbers_with_the_missing_last(page):
    printed = page.run(NAMES)
    orders = {}
    for _ in range(3):
        page.run(f"{HEADS}[1].firstChild.click()")
        orders[page.run(f"{HEADS}[1].ariaSort")] = page.run(NAMES)
    assert orders["descending"][:3] == ["Gradients", "STEP", "F-EP (ours)"]  # 50, 35, 9
    assert orders["ascending"][:3] == ["F-EP (ours)", "STEP", "Gradients"]
    assert orders["none"] == printed
    missing = [name for name in printed if name not in orders["ascending"][:3]]
    assert orders["ascending"][3:] == orders["descending"][3:] == missing
    bodies = page.run(
        "[...document.querySelectorAll('#table-fep_1 .results tbody')].map((body) => body.rows[0].textContent.trim())"
    )
    assert bodies[1:] == ["not in the paper", "controls"]


def test_a_column_of_the_papers_numbers_sorts_by_them(page):
    page.run(f"{HEADS}[2].firstChild.click()")
    assert page.run(NAMES)[0] == "Smooth Grad"
    assert page.run(NAMES)[-1] == "F-EP (ours)"


def test_heads_work_from_the_keyboard(page):
    assert page.run(f"{HEADS}[1].firstChild.tagName") == "BUTTON"
    assert page.run(f"{HEADS}.every((head) => head.ariaSort === 'none' && head.scope === 'col')")


def test_the_slider_moves_every_map_together(page):
    assert page.run("document.querySelectorAll('#gallery-maps figure').length") == 8  # the frames and seven methods
    page.run("document.getElementById('gallery-controls').elements.boxes.click()")
    seen = []
    for frame in (0, 3):
        change(page, "gallery-controls", "frame", str(frame), "input")
        assert colour(page, 0, 7.5, 5.5) == pytest.approx([40 * frame] * 3, abs=4)  # WebP rounds flat colours
        hot, cold = colour(page, 1, frame + 1.5, 2.5), colour(page, 1, frame + 0.5, 2.5)
        assert min(hot[:2]) > max(cold[:2]) + 50  # the map's one bright pixel has moved with the frame
        seen.append(page.run("document.getElementById('gallery-controls').elements.time.value"))
    assert seen == ["1 of 5", "4 of 5"]


def test_boxes_and_opacity_can_be_turned_off(page):
    change(page, "gallery-controls", "frame", "2", "input")
    assert colour(page, 0, 2, 2.5) == [0x3D, 0xDC, 0x84]  # the figures' green, on the box's left edge
    page.run("document.getElementById('gallery-controls').elements.boxes.click()")
    assert colour(page, 0, 2, 2.5) == pytest.approx([80] * 3, abs=4)
    change(page, "gallery-controls", "opacity", "0", "input")
    assert colour(page, 1, 3.5, 2.5) == pytest.approx([80] * 3, abs=4)  # the grey frame alone


def test_playing_moves_on_and_stops(page):
    play = "document.getElementById('gallery-controls').elements.play"
    time = "document.getElementById('gallery-controls').elements.time.value"
    before = page.run(time)
    page.run(f"{play}.click()")
    assert page.run(f"{play}.ariaPressed") == "true"
    page.run(f"new Promise((done) => setInterval(() => {time} === '{before}' || done(), 20))")
    page.run(f"{play}.click()")
    stopped = page.run(time)
    assert page.run(f"new Promise((done) => setTimeout(() => done({time}), 600))") == stopped


def test_each_map_has_the_values_of_its_clip_and_a_method_without_one_its_reason(page):
    change(page, "gallery-controls", "clip", "1")
    texts = page.run("[...document.querySelectorAll('#gallery-maps figcaption')].map((caption) => caption.innerText)")
    by_name = {text.split("\n")[0]: text for text in texts}
    assert "60.0" in by_name["Gradients"]
    assert "40.0" in by_name["Gradients"]
    assert by_name["EP"].split("\n")[-1] == OWNED
    assert "it has no layer" in by_name["Grad-CAM"]


def test_values_are_chosen_filtered_and_sorted(page):
    table = "document.querySelector('#values-table table')"
    shown = f"[...{table}.tBodies[0].rows].filter((row) => !row.hidden).map((row) => row.cells[0].textContent)"
    assert page.run(shown) == list(CLIPS)
    page.run(f"{table}.tHead.rows[0].cells[1].firstChild.click()")
    assert page.run(shown) == [CLIPS[1], CLIPS[0]]  # 60, 40
    change(page, "values-controls", "filter", "CLIP A", "input")
    assert page.run(shown) == [CLIPS[0]]
    assert page.run("document.getElementById('values-count').textContent") == "1 of 2 clips"
    change(page, "values-controls", "set", "1")
    assert "TSM" in page.run(f"{table}.caption.textContent")
    last = f"{table}.tBodies[0].rows[1].cells[1]"
    assert page.run(f"[{last}.textContent, {last}.title]") == ["–", OWNED]
    change(page, "values-controls", "set", "0")
    names = page.run(f"[...{table}.tHead.rows[0].cells].map((head) => head.textContent)")
    failed = page.run(f"[...{table}.tBodies[0].rows].map((row) => row.cells[{names.index('F-EP (ours)')}].title)")
    assert failed == ["", f"error: {OWNED}"]


def test_a_line_of_a_chart_can_be_hidden(page):
    box = "document.querySelector('.legend input')"
    line = f"document.querySelector(`.chart [data-line='${{{box}.dataset.line}}']`)"
    assert page.run(f"getComputedStyle({line}).display") == "inline"
    page.run(f"{box}.click()")
    assert page.run(f"getComputedStyle({line}).display") == "none"


@pytest.mark.parametrize("width", [390, 1400])
def test_the_page_is_never_wider_than_the_window(page, tmp_path, width):
    page.screenshot(tmp_path / "page.png", width, 900)
    assert page.run("document.documentElement.scrollWidth") <= width


def test_dark_and_light_follow_the_reader(page, tmp_path):
    grounds = []
    for dark in (False, True):
        page.screenshot(tmp_path / "page.png", dark=dark)
        grounds.append(page.run("getComputedStyle(document.body).backgroundColor"))
    assert grounds == ["rgb(255, 255, 255)", "rgb(20, 23, 27)"]


def test_notes_are_opened_for_paper(page):
    assert page.run("document.querySelector('#table-fep_1 > details.notes').open") is False
    page.run("dispatchEvent(new Event('beforeprint'))")
    assert page.run("document.querySelector('#table-fep_1 > details.notes').open") is True


def test_without_pictures_the_gallery_says_so_and_offers_nothing(browser, tmp_path):
    browser.complaints.clear()
    browser.open(write_report(Report([page_table()]), tmp_path))
    shown = "getComputedStyle(document.getElementById('{}')).display"
    assert browser.run(shown.format("gallery-controls")) == "none"
    assert browser.run(shown.format("gallery-scale")) == "none"
    assert browser.run(shown.format("gallery-empty")) == "block"
    assert browser.complaints == []
