"""Data inside HTML: nothing in it can leave its place."""

import json
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vxbench.page.embed import data_uri, finite, json_text, source_hash

NAMES = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | NAMES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
)


class Scripts(HTMLParser):
    """The texts of script elements, and every other tag."""

    def __init__(self, text):
        super().__init__(convert_charrefs=False)
        self.scripts, self.tags, self._inside = [], [], False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self._inside = tag == "script"
        if self._inside:
            self.scripts.append("")
        else:
            self.tags.append(tag)

    def handle_endtag(self, tag):
        self._inside = self._inside and tag != "script"

    def handle_data(self, data):
        if self._inside:
            self.scripts[-1] += data


@given(VALUES)
@example("</script><script>alert(1)</script>")
@example("<!--<script>")
@example("]]> &lt; \u2028 \u2029 \\u003c")
def test_json_comes_back_from_inside_a_script_element(value):
    text = json_text(value)
    assert json.loads(text) == value
    assert not set(text) & set("<>&\u2028\u2029")
    page = Scripts(f'<script type="application/json">{text}</script><p>after</p>')
    assert [json.loads(script) for script in page.scripts] == [value]
    assert page.tags == ["p"]


def test_json_without_a_word_for_nan_refuses_it():
    with pytest.raises(ValueError, match="JSON compliant"):
        json_text({"value": float("nan")})


@given(st.floats(1e-6, 1e6))
def test_finite_keeps_four_digits(value):
    assert finite(value) == pytest.approx(value, rel=5e-4)  # half a unit of the fourth digit


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_finite_has_none_for_what_json_cannot_say(value):
    assert finite(value) is None


def test_a_data_address_and_a_hash_are_as_the_standards_say():
    assert data_uri(b"hello", "text/plain") == "data:text/plain;base64,aGVsbG8="  # RFC 2397, RFC 4648
    # The example of CSP level 3, section 8.3: alert('Hello, world.');
    assert source_hash("alert('Hello, world.');") == "'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='"
