import base64
import re
from html.parser import HTMLParser

import pytest

from cryoscape.workflows.report import (
    ReportFacts,
    ReportFigure,
    ReportGallery,
    ReportMovie,
    ReportSection,
    ReportTable,
    ReportText,
    ReportTile,
    report_html,
)

PNG = b"\x89PNG not really"


class Balance(HTMLParser):
    """Fails on a tag closed out of order; keeps the addresses of pictures."""

    def __init__(self):
        super().__init__()
        self.open, self.sources = [], []

    def handle_starttag(self, tag, attrs):
        self.sources += [value for key, value in attrs if key in ("src", "href")]
        if tag not in ("meta", "img", "input", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def page():
    tiles = [ReportTile(PNG, str(i), "12 particles", "#ff0000") for i in range(3)]
    sections = [
        ReportSection("A & B", [ReportText("x < y"), ReportFacts([("Particles", "1,204")])]),
        ReportSection(
            "C",
            [
                ReportFigure(PNG, 'a "plot"'),
                ReportFigure(PNG, "another"),
                ReportGallery(tiles),
                ReportMovie(tiles, "motion"),
                ReportTable(("n", "name", "value"), [(1204, "one", 0.123456)], swatches=["#00ff00"]),
            ],
        ),
        ReportSection("nothing to show", []),
    ]
    return report_html("A <title>", sections, "sub & title")


def test_page_is_well_formed_and_needs_nothing_from_outside(page):
    parser = Balance()
    parser.feed(page)
    assert parser.open == []
    assert all(s.startswith(("data:image/png;base64,", "#s")) for s in parser.sources)
    assert not re.search(r"https?://|@import|url\(", page)


def test_texts_are_escaped_and_pictures_are_inside(page):
    assert "A &lt;title&gt;" in page
    assert "<h2>A &amp; B</h2>" in page
    assert "x &lt; y" in page
    assert "a &quot;plot&quot;" in page
    assert page.count(base64.b64encode(PNG).decode()) == 2 + 3 + 4
    assert "nothing to show" not in page


def test_tables_format_numbers(page):
    assert '<td class="number"><i style="background:#00ff00"></i>1,204</td>' in page
    assert '<td class="number">0.1235</td>' in page


def test_widths_of_figures_are_known_to_the_style():
    figures = [ReportFigure(PNG, width, width) for width in ("half", "full", "tall")]
    page = report_html("t", [ReportSection("s", figures)])
    style = page[page.index("<style>") : page.index("</style>")]
    for width in ("full", "tall"):
        assert f'class="plot {width}"' in page
        assert f".plot.{width}" in style
