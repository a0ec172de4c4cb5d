"""`forge report --html`: what the page holds, and that nothing in a run can harm it."""

import json
import re

import pytest
from html_page import Page

QUICK = ("--metric", "lpips-diversity", "--backbone", "random", "--inputs", "2", "--samples", "2", "--device", "cpu")
HOSTILE = "</pre></style><script>alert(1)</script><img src=x onerror=alert(2)>&\"'\x00\x08\x1b\x7f"


@pytest.fixture
def page(report, tmp_path):
    """The page about some runs, read."""

    def make(*arguments):
        file = tmp_path / "out/report.html"
        code, out, err = report(*arguments, "--html", file)
        assert (code, out) == (0, f"{file}\n"), err
        text = file.read_text(encoding="utf-8")
        assert text.startswith("<!DOCTYPE html>")
        return Page(text.removeprefix("<!DOCTYPE html>"))

    return make


def assert_self_contained(page):
    """Nothing is fetched and nothing is run: the page's only links are to itself, its pictures are in it."""
    assert {name for name, _ in page.elements} <= {
        "html", "head", "meta", "title", "style", "body", "main", "header", "footer", "section", "div", "span", "p",
        "h1", "h2", "h3", "h4", "a", "b", "i", "small", "code", "pre", "details", "summary", "ul", "li", "figure",
        "figcaption", "img", "table", "thead", "tbody", "tr", "th", "td", "svg", "line", "polyline", "polygon",
        "circle", "text",
    }  # fmt: skip
    for name, attributes in page.elements:
        assert not [key for key in attributes if key.startswith("on") or key in ("style", "srcset")], name
        assert attributes.get("src", "data:image/jpeg;base64,").startswith("data:image/jpeg;base64,")
        assert re.fullmatch("#[a-z]+-[0-9]+", attributes.get("href", "#run-1"))
    assert "default-src 'none'" in page.all("meta")[1]["content"]
    assert "url(" not in page.style and "@import" not in page.style


def test_the_page_of_a_run(page, make_run):
    shown = page(make_run("munit"))
    assert_self_contained(shown)
    for text in (
        "munit; 100 steps", "Objective", "min discriminator", "∑ ab ba", "10 · l1( reconstruction , source ) image",
        "None yet: forge eval", "ab , step 100", "generator.image", "18 network calls in a step",
        "Pruned, for no term needs it: cycled , random_style_2 , real_logits , target , translation_2",
        "recipe.yaml, as it was written", "resolved.yaml, all settings", "torch", "i2i-forge 0.1.0", "forge report",
        "components trainers.munit: munit (i2i-forge 0.1.0) datasets.procedural_shoes: procedural_shoes (i2i-forge",
    ):  # fmt: skip
        assert text.replace(" ,", ",") in shown.text.replace(" ,", ","), text
    assert len(shown.all("img")) == 2
    assert len([a for a in shown.all("svg") if a["viewbox"] == "0 0 320 180"]) == 5  # terms
    assert len(shown.all("polyline")) == 10  # terms x routes
    assert "generator.gan: ab, ba" in shown.text
    assert 0 < len(shown.all("thead")) < len(shown.all("table"))  # a table without headings has no head


def test_runs_side_by_side(page, make_run):
    style = ", style: '1 * l1(recovered_style,\n        random_style)'"
    shown = page(make_run("full"), make_run("no_style", without=style))
    assert_self_contained(shown)
    assert shown.text.startswith("Comparison Comparison munit; 2 runs Runs")
    assert "full munit 100 18" in shown.text and "no_style munit 100 16" in shown.text
    assert "What differs full no_style generator.style 1 * l1(recovered_style, random_style) \N{EN DASH}" in shown.text
    ids = {attributes.get("id") for _, attributes in shown.elements}
    assert {link["href"][1:] for link in shown.all("a")} == {"run-1", "run-2"} <= ids
    assert len(shown.all("img")) == 4  # each grid once
    assert shown.text.index("Samples") < shown.text.index("Objective")


def test_a_long_list_of_settings_follows_the_pictures_and_is_folded(page, munit_run, pix2pix_run):
    shown = page(munit_run, pix2pix_run)
    places = [shown.text.index(title) for title in ("Measurements", "Losses", "What differs", "Objective")]
    assert places == sorted(places)
    assert int(re.search(r"What differs (\d+) settings munit pix2pix discriminator.gan", shown.text)[1]) > 12
    assert shown.all("details")[0] == {} and {"class": "settings"} in shown.all("table")
    assert {"dot s0", "dot s1"} == {circle["class"] for circle in shown.all("circle")}  # of one step there is no line


def test_a_study_shows_its_runs_by_variant(page, make_run, tmp_path):
    for seed in (0, 1):
        make_run(f"study/full/seed-{seed}", seed=seed)
        make_run(f"study/other/seed-{seed}", seed=seed)
    shown = page(tmp_path / "study")
    assert shown.text.startswith("study study munit; 4 runs")
    assert "What differs full other seed 0 , 1 0 , 1" in shown.text
    assert "Of each group the first run" in shown.text
    assert len(shown.all("img")) == 8
    assert re.search("full full/seed-0 Objective.* full/seed-1 Objective.* other other/seed-0 Objective", shown.text)


def test_the_numbers_are_those_of_the_terminal(page, make_run, forge, report, tmp_path):
    runs = make_run("first"), make_run("second")
    for number, run in enumerate(runs):
        assert forge("eval", run, *QUICK)[0] == 0
        record = json.loads((run / "results.jsonl").read_text())
        record["model"] |= {"name": "same", "weights_sha256": str(number)}
        (run / "results.jsonl").write_text(json.dumps(record) + "\n")
    code, out, err = report(tmp_path, "--baseline", "first")  # the folder that holds them
    assert code == 0, err
    words = [word for word in re.findall(r"[\w.+/-]+", out) if word != "note"]
    shown = page(*runs, "--baseline", "first")
    assert "+0.0000" in words and "second" in words
    assert set(words) <= set(re.findall(r"[\w.+/-]+", shown.text))


def test_nothing_in_a_run_becomes_markup(page, make_run):
    run = make_run("<script>alert(1)<&script>")
    env = {"recipe": HOSTILE, "packages": {HOSTILE: HOSTILE}, "plugins": {"p": HOSTILE}, "hardware": [HOSTILE],
           "components": {HOSTILE: HOSTILE}}  # fmt: skip
    (run / "env.json").write_text(json.dumps(env))
    (run / "recipe.yaml").write_text(f"# {HOSTILE}\n")
    line = {"step": 101, f"generator/{HOSTILE.replace('/', '')}/<b>": 1.0, "other": "x", "generator/gan/ab": None}
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(line) + '\n{"step": 102, "gen')
    (run / "samples/ab-step-00000100.png").rename(run / "samples/<b onclick='x'>-step-00000100.png")
    shown = page(run)
    assert_self_contained(shown)
    assert "<script>alert(1)<&script>" in shown.text
    assert shown.text.count("<script>alert(1)</script>") >= 4
    assert not set("\x00\x08\x1b\x7f") & set("".join(shown.texts)) and "\ufffd" in shown.text


def test_missing_and_damaged_files_are_no_obstacle(page, make_run, report, tmp_path):
    run = make_run("bare")
    for file in ("metrics.jsonl", "env.json", "recipe.yaml"):
        (run / file).unlink()
    (run / "samples/ab-step-00000100.png").write_bytes(b"no picture")
    shown = page(run)
    assert "The picture cannot be read" in shown.text and "No step has been recorded yet." in shown.text
    (make_run("broken") / "resolved.yaml").write_text("trainer: [")
    code, _, err = report(run, tmp_path / "broken", "--html", tmp_path / "both.html")
    assert code == 0 and "warning: " in err and "broken is left out" in err
    code, _, err = report(tmp_path / "broken", "--html", tmp_path / "one.html")
    assert code == 3 and not (tmp_path / "one.html").exists()


def test_a_method_that_is_no_longer_installed(page, make_run):
    run = make_run("old")
    (run / "resolved.yaml").write_text((run / "resolved.yaml").read_text().replace("trainer: munit", "trainer: gone"))
    shown = page(run)
    assert "what a step computes is not known" in shown.text and "gone" in shown.text
    assert "l1( reconstruction" in shown.text


def test_without_grids_the_networks_make_them(page, make_run):
    run = make_run("quiet")
    for file in (run / "samples").iterdir():
        file.unlink()
    shown = page(run)
    assert [picture["alt"] for picture in shown.all("img")] == [
        "Samples of quiet, ab, step 1", "Samples of quiet, ba, step 1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--html", "runs"), 2, "--html runs: a page's name ends in .html"),
        (("--html", "x.html", "--json"), 2, "leave one out"),
        (("--html", "x.html", "nowhere"), 4, "nowhere"),
        (("--html", "x.html", "empty"), 4, "there is no run in empty"),
        (("--html", "folder.html", "munit"), 2, "folder.html cannot be written"),
    ],
)
def test_mistakes(report, make_run, monkeypatch, tmp_path, arguments, code, says):
    make_run("munit")
    for folder in ("empty", "folder.html"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path)
    found, out, err = report(*arguments)
    assert (found, out) == (code, "") and says in err, err
    assert not [*tmp_path.glob("*.part"), *tmp_path.glob("x.html")]
