"""Markup is what was made as markup; everything else is text."""

import pytest

from i2i_forge.study.page.markup import Html, escaped, join, table, tag


def test_text_and_attributes_are_escaped():
    made = tag("a", "<b> & 'c'", Html("<i>kept</i>"), title='"><script>', class_="x", data_n=3, href=None)
    assert made == (
        '<a title="&quot;&gt;&lt;script&gt;" class="x" data-n="3">&lt;b&gt; &amp; &#x27;c&#x27;<i>kept</i></a>'
    )
    assert isinstance(made, Html)


def test_text_made_from_markup_is_text_again():
    assert escaped(Html("<b>") + "<i>") == "&lt;b&gt;&lt;i&gt;"
    assert join([Html("<b>"), "<"], separator=" & ") == "<b> &amp; &lt;"


@pytest.mark.parametrize("character", ["\x00", "\x08", "\x1b", "\x7f"])
def test_control_characters_are_shown_as_unknown(character):
    assert escaped(f"a{character}\tb\n") == "a\ufffd\tb\n"


def test_elements_without_content_are_not_closed():
    assert tag("img", alt="") == '<img alt="">'


def test_a_table_without_headings_has_no_head():
    assert "thead" not in table(("", ""), [("name", "value")])
    assert "<thead><tr>" in table(("name", ""), [])
