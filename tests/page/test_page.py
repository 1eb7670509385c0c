"""The page as a whole: whole, self-contained, and with names that stay names."""

import json
import re
from html import unescape
from html.parser import HTMLParser

import pytest
from helpers.pages import page_table, report
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vxbench.page import FigureFile, Gallery, Report, render, write_report
from vxbench.page.embed import source_hash

HOSTILE = [
    "<script>",
    "</script>",
    "<img src=x>",
    '"',
    "'",
    "&amp;",
    "<!--",
    "-->",
    "{{ 7 * 7 }}",
    "\u2028",
    "é",
    "</td>",
]
NAMES = st.lists(st.sampled_from(HOSTILE), min_size=1, max_size=4).map("".join)


class Page(HTMLParser):
    """tags in order; texts outside scripts and styles; attributes; the texts of scripts."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.attributes, self.sources, self._in = [], [], [], {"script": [], "style": []}, ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag in self.sources:
            self._in = tag
            self.sources[tag].append("")

    def handle_endtag(self, tag):
        self._in = "" if tag == self._in else self._in

    def handle_data(self, data):
        if self._in:
            self.sources[self._in][-1] += data
        else:
            self.texts.append(data)


@pytest.fixture(scope="module")
def plain():
    return Page(render(report()))


@settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow])
@given(NAMES, NAMES, NAMES, NAMES)
def test_no_name_becomes_markup(plain, clip, reason, message, added):
    clips = (f"a{clip}", f"b{clip}")
    page = Page(render(report(page_table(clips, f"error: {reason}", message, f"mine{added}"), clips)))
    shown = " ".join(page.texts)
    assert page.tags == plain.tags
    assert f"b{clip}" in shown
    assert reason in shown
    assert message in shown
    assert f"mine{added}" in shown
    assert "49" not in re.findall(r"\d+", shown)  # {{ 7 * 7 }} is not computed
    data = json.loads(page.sources["script"][0])
    assert data["clips"]["ucf101_24"] == sorted(clips)
    assert data["cells"]["r2plus1d-fep-1"]["reasons"] == {"1": {"": f"error: {reason}"}}


def test_the_page_asks_for_nothing(plain):
    addresses = [value for name, value in plain.attributes if name in ("src", "href", "action", "data", "srcset")]
    assert all(value.startswith(("#", "data:")) for value in addresses)
    assert not re.search(r"@import|url\(", plain.sources["style"][0])
    assert not re.search(
        r"fetch|XMLHttpRequest|import\(|innerHTML|insertAdjacent|document\.write|eval\(", plain.sources["script"][1]
    )


def test_every_link_leads_somewhere(plain):
    targets = {value for name, value in plain.attributes if name == "id"}
    links = {value[1:] for name, value in plain.attributes if name == "href" and value.startswith("#")}
    assert links
    assert links <= targets
    assert len([value for name, value in plain.attributes if name == "id"]) == len(targets)


def test_the_policy_names_the_pages_own_sources_and_no_others(plain):
    [policy] = [value for name, value in plain.attributes if name == "content" and "default-src" in value]
    [style], [_, script] = plain.sources["style"], plain.sources["script"]
    assert (
        policy == f"default-src 'none'; img-src data:; style-src {source_hash(style)}; script-src {source_hash(script)}"
    )
    assert not [name for name, _ in plain.attributes if name == "style" or name.startswith("on")]


def test_the_title_says_that_mini_is_not_comparable(plain):
    title = "profile mini, not comparable with the papers"
    assert f"vxbench report: {title}" in plain.texts
    assert f"{title}: generated clips" in plain.texts


def test_notes_reasons_and_provenance_are_on_the_page(plain):
    shown = " ".join(plain.texts)
    for heading, lines in page_table().table.notes:
        assert heading in shown
        assert all(line in shown for line in lines)
    for said in ("undecodable: broken", "out of luck", "no box in the sampled frames", "a processor", "explainer: fep"):
        assert said in shown
    assert "No cell failed." not in shown


def test_differences_stand_on_the_page_and_can_be_sorted(plain):
    shown = " ".join(plain.texts)
    assert f"Differences between methods: {len(page_table().table.pairs)}" in shown
    assert "The paper's order" in shown
    assert ("class", "sortable") in plain.attributes
    assert "Differences between methods" not in " ".join(Page(render(report(bare()))).texts)


def bare():
    """A page whose rows have no clip in common."""
    page = page_table()
    page.table.pairs.clear()
    return page


def test_figures_come_before_clips_where_room_is_scarce():
    figures = [FigureFile("fep_2", "a caption", b"\x89PNG"), FigureFile("fep_3", "another", b"x" * 9000)]
    text = unescape(render(report(figures=figures, left_out=["said before"]), budget=200))
    assert 'src="data:image/png;base64,iVBORw=="' in text
    assert "fep_2: a caption" in text
    for line in (
        "said before",
        "figure fep_3: for the size of this page",
        "gallery of fep_1, r2plus1d on ucf101_24: 2 of 2",
    ):
        assert line in text
    assert json.loads(Page(text).sources["script"][0])["images"] == {}


def test_galleries_are_gone_through_once_and_lazily():
    asked = []

    def lazy():
        asked.append("once")
        yield Gallery("fep_1", "r2plus1d", "ucf101_24", [])

    render(Report([page_table()], lazy()))
    assert asked == ["once"]


def test_the_file_is_written_whole_even_where_a_name_is_no_unicode(tmp_path):
    path = write_report(report(page_table(message="no a\udcff.mp4")), tmp_path / "new" / "folder")
    assert path.name == "index.html"
    assert [file.name for file in path.parent.iterdir()] == ["index.html"]
    data = json.loads(Page(path.read_text()).sources["script"][0])
    assert "no a\udcff.mp4" in [method["why"] for method in data["sets"][0]["methods"]]
