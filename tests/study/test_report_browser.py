"""The page in a browser, where one is installed: it fits a desktop and a phone, and runs nothing."""

import html
import json
import re
import shutil
import subprocess

import pytest

from i2i_forge.study.page import page as report_page

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here")
OUTER = """<iframe style="width:{width}px;height:800px;border:0"></iframe><pre></pre>
<script>
const frame = document.querySelector("iframe");
frame.onload = () => {{
  const page = frame.contentDocument, scrolls = page.querySelectorAll("main > section, main > header, h1, h2, p");
  document.querySelector("pre").textContent = JSON.stringify({{
    wide: page.documentElement.scrollWidth, title: page.title, scripts: page.scripts.length,
    pictures: [...page.images].map(picture => picture.naturalWidth),
    widest: Math.max(...[...scrolls].map(part => part.getBoundingClientRect().right)),
    curve: page.querySelector("svg.chart").getBoundingClientRect().width,
    line: getComputedStyle(page.querySelector("polyline")).stroke,
  }});
}};
frame.srcdoc = {page};
</script>"""


@pytest.fixture
def seen(report, tmp_path):
    """What a browser of some width makes of the page about a run."""

    def look(run, width):
        file, outer = tmp_path / "report.html", tmp_path / "outer.html"
        assert report(run, "--html", file)[0] == 0
        page = json.dumps(file.read_text(encoding="utf-8")).replace("</", "<\\/").replace("<!", "\\u003c!")
        outer.write_text(OUTER.format(width=width, page=page), encoding="utf-8")
        command = [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu",
                   f"--user-data-dir={tmp_path / 'profile'}",
                   "--virtual-time-budget=5000", "--window-size=1400,900", "--dump-dom", outer.as_uri()]  # fmt: skip
        dom = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
        return json.loads(html.unescape(re.search("<pre>(.*?)</pre>", dom)[1]))

    return look


@pytest.mark.parametrize("width", [1280, 360])
def test_the_page_fits(seen, make_run, width):
    found = seen(make_run("a_run_with_a_name_that_is_much_too_long_for_the_screen_of_a_small_phone"), width)
    assert found["wide"] <= width and found["widest"] <= width  # what is wider scrolls within the page
    assert found["pictures"] == [90, 90] and found["scripts"] == 0
    assert 240 <= found["curve"] <= 420
    assert found["line"].startswith("rgb(") and found["line"] != "rgb(0, 0, 0)"  # the style sheet counts


def test_markup_that_slipped_through_would_run_nothing(seen, make_run, monkeypatch):
    run = make_run("sly")
    (run / "recipe.yaml").write_text(
        "<script>document.title = 'taken'</script><img src=x onerror=\"document.title=1\">"
    )
    monkeypatch.setattr(report_page, "TEMPLATES", report_page.TEMPLATES.overlay(autoescape=False))
    found = seen(run, 1280)
    assert found["scripts"] == 1 and found["title"] == "sly"
