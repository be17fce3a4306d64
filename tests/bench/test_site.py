import base64
import io
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.bench.fake_store import PROTOCOL, SCORES, add, add_images, fail
from waldbench.bench import site
from waldbench.bench.files import load_arrays, save_arrays
from waldbench.bench.results import leaderboard
from waldbench.bench.results.store import Store
from waldbench.bench.site import pictures

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FIRST, SECOND = f"{PROTOCOL}_wv2-simulated", f"{PROTOCOL}_wv3-published"
CARD = {
    "summary": "A net.",
    "paper": "Author, Journal 1",
    "doi": "10.1/x",
    "faithful": "all <layers>",
    "inferred": ["the `width`"],
}


def filled(root):
    """Two datasets: one simulated, with pictures and a failed method, and one published."""
    store = Store(root)
    facts = {"net": {"method": CARD, "recipe": "unified", "weights": "trained"}}
    for method in SCORES:
        add(store, method, **facts.get(method, {}))
        if method != "net":
            add(store, method, dataset="wv3-published")
    fail(store, "bad", "out of memory <script>alert(1)</script>")
    add_images(store)
    return store


@pytest.fixture
def store(tmp_path):
    return filled(tmp_path)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    store = filled(tmp_path_factory.mktemp("site"))
    site.write(store)
    return store


def html(store):
    return (store.root / "site" / "index.html").read_text()


def test_page_is_one_offline_folder(built):
    folder = built.root / "site"
    for text in [html(built), *(path.read_text() for path in (folder / "assets").glob("[!p]*"))]:
        assert not re.search(r"(src|href)=\"(https?:)?//(?!doi\.org)|url\(|\bfetch\(|@import", text)
    linked = re.findall(r"(?:src|href)=\"((?!https:|data:|#)[^\"]+)\"", html(built))
    assert linked
    assert all((folder / name).is_file() for name in [*linked, "assets/plotly.min.js", f"data/{FIRST}.js", f"data/{SECOND}.js"])


def test_numbers_are_those_of_the_leaderboard(built):
    frame = leaderboard.build(built)
    for name, part in leaderboard.groups(frame):
        panel = html(built).split(f'<div class="group" id="{name}"')[1].split("<footer>")[0]
        for _, row in part[part["status"] == "ok"].iterrows():
            line = panel.split(f'data-key="{row["method"]}"')[1].split("</tr>")[0]
            shown = dict(re.findall(r'data-column="(\w+)" data-value="([^"]+)"', line))
            assert len(shown) >= 11
            for column, value in shown.items():
                assert float(value) == row[f"{column}_mean" if f"{column}_mean" in row else column]


def test_sources_do_not_mix_and_simulated_is_said(built):
    first, second = html(built).split('<div class="group"')[1:]
    assert "SIMULATED data" in first
    assert "SIMULATED" not in second
    assert first.count("data-key=") == 4
    assert second.count("data-key=") == 2


def test_every_task_has_a_tab(store):
    cell = add(store, "gsa", dataset="pavia-simulated")
    record = store.read(cell)
    (store.folder(cell) / "record.json").write_text(json.dumps(record.to_json() | {"dataset": record.dataset | {"task": "hs"}}))
    site.write(store)
    tabs = re.findall(r'role="tab" id="tab-task-(\w+)" aria-controls="task-\1" aria-selected="(\w+)"', html(store))
    assert tabs == [("ms", "true"), ("hs", "false")]
    assert f"{PROTOCOL}_pavia-simulated" in html(store).split('<section id="task-hs"')[1]


def test_text_of_others_is_text(built):
    assert "<script>alert" not in html(built)
    assert "out of memory &lt;script&gt;" in html(built)
    assert "all &lt;layers&gt;" in html(built)
    assert "the <code>width</code>" in html(built)


def test_a_failure_leaves_the_page_before(store, monkeypatch):
    site.write(store)
    before = html(store)
    add(store, "gihs", SCORES["gsa"])

    def explode(*_arguments):
        raise OSError("disk full")

    monkeypatch.setattr(pictures, "write", explode)
    with pytest.raises(OSError, match="disk full"):
        site.write(store)
    assert html(store) == before
    assert not list(store.root.glob(".site*"))


def test_unchanged_pictures_are_kept_and_changed_ones_made_again(store):
    def shelf():
        return {path.name: path.stat().st_ino for path in (store.root / "site" / "images" / FIRST).iterdir()}

    site.write(store)
    first = shelf()
    site.write(store)
    assert shelf() == first
    file = store.root / PROTOCOL / "wv2-simulated" / "net" / "seed-42" / "images.npz"
    save_arrays(file, {key: image // 2 for key, image in load_arrays(file).items()})
    site.write(store)
    assert {name.split(".")[0] for name in shelf().keys() - first.keys()} == {"reduced-0-net", "full-0-net"}
    assert len(shelf()) == len(first)


def test_an_empty_store_and_a_machine_without_plotly_have_a_page(tmp_path, store, monkeypatch):
    site.write(Store(tmp_path / "empty"))
    assert "There are no results yet" in html(Store(tmp_path / "empty"))
    monkeypatch.setattr(site, "find_spec", lambda name: None)
    site.write(store)
    assert "<body data-no-chart>" in html(store)
    assert not (store.root / "site" / "assets" / "plotly.min.js").exists()


def test_scores_per_image_are_means_over_seeds(store):
    add(store, "gsa", {**SCORES["gsa"], "sam": [6.0, 7.0]}, seed=43)
    site.write(store)
    text = (store.root / "site" / "data" / f"{FIRST}.js").read_text()
    scores = json.loads(text.split(",", 1)[1].rsplit(")", 1)[0])["scores"]
    assert scores[0] | {"values": scores[0]["values"]["gsa"]} == {
        "id": "reduced_sam",
        "title": "SAM",
        "arrow": "↓",
        "unit": "°",
        "split": "Reduced resolution",
        "images": ["reduced 0", "reduced 1"],
        "values": [5.0, 6.0],
        "decimals": 4,
    }


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no chromium, chromium-browser or google-chrome on the path")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


def load(browser, built, problems, name="", width=1280, **options):
    page = browser.new_page(viewport={"width": width, "height": 480}, **options)
    # Generous: the machine of a test may have much else to do.
    page.set_default_timeout(60_000)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.goto(f"file://{built.root}/site/index.html{name}")
    page.wait_for_selector(".group[data-ready]:not([hidden])")
    return page


@pytest.fixture
def visit(browser, built):
    """Open the page; every error in its console fails the test."""
    pages, problems = [], []

    def start(*name, **options):
        pages.append(load(browser, built, problems, *name, **options))
        return pages[-1]

    yield start
    for page in pages:
        page.close()
    assert problems == []


@pytest.fixture(scope="module")
def open_viewer(browser, built):
    problems = []
    page = load(browser, built, problems)
    yield viewer(page)
    page.close()
    assert problems == []


@pytest.fixture
def compare(open_viewer):
    """Choose what the viewer shows; returns its section. The page is shared, so every test starts from the whole image."""

    def choose(a, b, mode="Side by side"):
        open_viewer.get_by_role("radio", name="Side by side").check()
        open_viewer.get_by_role("button", name="Fit").click()
        open_viewer.locator(".scale input").fill("50")
        for letter, name in (("a", a), ("b", b)):
            open_viewer.locator(f"select.{letter}").select_option(name)
        ready(open_viewer)
        open_viewer.get_by_role("radio", name=mode).check()
        return open_viewer

    return choose


def shown(page):
    return page.locator("div.group:visible")


def order(page):
    return shown(page).locator(".board tbody tr:visible").evaluate_all("rows => rows.map(row => row.dataset.key)")


def viewer(page):
    """The image section, scrolled to and loaded."""
    section = shown(page).locator("section.images")
    section.scroll_into_view_if_needed()
    ready(section)
    return section


def ready(section):
    section.page.wait_for_selector("div.group:not([hidden]) section.images[data-state=ready]")


def pixels(section, pane):
    """(H, W, 3) of a canvas."""
    address = section.locator(f"[data-pane={pane}] canvas").evaluate("canvas => canvas.toDataURL()")
    with Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))) as image:
        return np.asarray(image.convert("RGB"), dtype=int)


def kept(store, method, key="reduced-0"):
    folder = store.root / PROTOCOL / "wv2-simulated"
    if method in pictures.REFERENCES:
        return load_arrays(folder / "reference.npz")[f"{key}-{method}"].astype(float)
    return load_arrays(folder / method / "seed-42" / "images.npz")[key].astype(float)


def test_sorts_by_any_column_with_failures_last(visit):
    page = visit()
    assert order(page) == ["net", "gsa", "exp", "bad"]
    head = shown(page).locator("th[data-column=reduced_psnr]")
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert order(page) == ["net", "gsa", "exp", "bad"]
    head.locator("button").press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    assert order(page) == ["exp", "gsa", "net", "bad"]
    shown(page).get_by_role("button", name="Method").click()
    assert order(page) == ["exp", "gsa", "net", "bad"]
    assert page.locator("div.group:visible [aria-sort]").count() == 1


def test_filters_by_text_family_and_weights(visit):
    page = visit()
    section = shown(page).locator("section.leaderboard")
    section.get_by_label("Find").fill("gs")
    assert order(page) == ["gsa"]
    assert section.get_by_role("status").inner_text() == "1 of 4 methods"
    section.get_by_label("Find").fill("")
    section.get_by_label("Family").select_option("interpolation")
    assert order(page) == ["exp"]
    section.get_by_label("Family").select_option("")
    section.get_by_label("Weights").select_option("trainable")
    assert order(page) == ["net"]


def test_columns_and_spreads_are_chosen(visit):
    page = visit()
    section = shown(page).locator("section.leaderboard")
    cell = section.locator("tr[data-key=gsa] [data-column=macs_256]")
    assert not cell.is_visible()
    section.get_by_text("Columns", exact=True).click()
    section.get_by_role("checkbox", name="MACs").check()
    assert cell.is_visible()
    section.get_by_role("checkbox", name="SAM").uncheck()
    assert not section.locator("tr[data-key=gsa] [data-column=reduced_sam]").is_visible()
    page.keyboard.press("Escape")
    assert not section.get_by_role("checkbox", name="SAM").is_visible()
    assert section.locator("tr[data-key=gsa] .std:visible").count() == 2
    section.get_by_label("Spread").select_option("")
    assert section.locator(".std:visible").count() == 0


def test_tabs_switch_datasets_with_mouse_keys_and_address(visit):
    page = visit()
    page.get_by_role("tab", name="wv3").click()
    assert shown(page).get_attribute("id") == SECOND
    assert page.url.endswith(f"#{SECOND}")
    page.keyboard.press("ArrowRight")
    assert shown(page).get_attribute("id") == FIRST
    assert page.evaluate("document.activeElement.id") == f"tab-{FIRST}"
    page.keyboard.press("End")
    assert shown(page).get_attribute("id") == SECOND
    assert shown(visit(f"#{SECOND}--provenance")).get_attribute("id") == SECOND


def test_keyboard_reaches_the_parts_in_order(visit):
    page = visit()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "tab"
    outline = page.evaluate(
        "getComputedStyle(document.activeElement).outlineStyle + getComputedStyle(document.activeElement).outlineWidth"
    )
    assert outline == "solid2px"
    seen = []
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                "(document.activeElement.closest('section.group > *, div.group > section') || {}).className || ''"
            ).split(" ")[0]
        )
    sections = list(dict.fromkeys(name for name in seen if name))
    assert sections == ["leaderboard", "cost", "images", "scores", "methods", "provenance", "conventions"][: len(sections)]
    assert len(sections) > 4


def test_difference_to_the_ground_truth_is_the_error_over_all_bands(compare, built):
    section = compare("gsa", "gt")
    error = np.abs(kept(built, "gsa") - kept(built, "gt")).mean()
    assert f"mean {error:.1f} DN" in section.locator("[data-pane=d] figcaption").inner_text()
    assert "mean over all 8 bands" in section.locator(".meaning").inner_text()


def test_difference_of_two_methods_is_computed_and_coloured(compare, built):
    section = compare("net", "lms", "Difference")
    scene = pictures.Reference({name: kept(built, name) for name in ("gt", "lms")}, (4, 2, 1))
    cut = [np.clip(kept(built, name)[[4, 2, 1]].transpose(1, 2, 0), scene.low, scene.high) for name in ("net", "lms")]
    mean = np.abs(cut[0] - cut[1]).mean()
    caption = section.locator("[data-pane=d] figcaption").inner_text()
    assert float(re.search(r"mean ([\d.]+) DN", caption)[1]) == pytest.approx(mean, rel=0.02)
    assert "three bands" in section.locator(".meaning").inner_text()
    bright = pixels(section, "d").sum()
    section.locator(".scale input").fill("100")
    assert pixels(section, "d").sum() < bright


def test_the_guide_has_no_difference(compare):
    section = compare("net", "guide")
    assert "another quantity" in section.locator(".meaning").inner_text()
    assert not pixels(section, "d").any()


def test_swipe_shows_one_picture_left_and_the_other_right(compare):
    section = compare("lms", "gt", "Swipe")
    slider = section.get_by_label("Swipe position")
    slider.fill("0")
    right = pixels(section, "a")
    slider.fill("100")
    left = pixels(section, "a")
    slider.fill("50")
    half, middle = pixels(section, "a"), right.shape[1] // 2
    assert not np.array_equal(left, right)
    assert np.array_equal(half[:, : middle - 4], left[:, : middle - 4])
    assert np.array_equal(half[:, middle + 4 :], right[:, middle + 4 :])
    slider.focus()
    section.page.keyboard.press("ArrowLeft")
    assert slider.input_value() == "49"


def test_zoom_and_pan_are_linked(compare):
    section = compare("net", "lms")
    before = {pane: pixels(section, pane) for pane in "abd"}
    section.get_by_role("group", name="Image viewer").focus()
    section.page.keyboard.press("+")
    zoomed = {pane: pixels(section, pane) for pane in "abd"}
    assert all(not np.array_equal(before[pane], zoomed[pane]) for pane in "abd")
    section.page.keyboard.press("ArrowRight")
    assert all(not np.array_equal(pixels(section, pane), zoomed[pane]) for pane in "abd")
    section.get_by_role("button", name="Fit").click()
    assert all(np.array_equal(pixels(section, pane), before[pane]) for pane in "abd")


def test_pixels_are_read_out_in_digital_numbers(compare, built):
    section = compare("net", "gt")
    canvas = section.locator("[data-pane=a] canvas")
    size = canvas.bounding_box()
    canvas.hover(position={"x": size["width"] * 10.5 / 48, "y": size["height"] * 20.5 / 64})
    text = section.locator(".readout").inner_text()
    assert text.startswith("x 10, y 20")
    scene = pictures.Reference({name: kept(built, name) for name in ("gt", "lms")}, (4, 2, 1))
    wanted = np.clip(kept(built, "net")[[4, 2, 1], 20, 10], scene.low, scene.high)
    read = [int(number) for number in re.search(r"NET [≤≥]?(\d+) [≤≥]?(\d+) [≤≥]?(\d+)", text).groups()]
    assert np.abs(read - wanted).max() <= (scene.high - scene.low).max() / 255


def test_chart_follows_its_choices(visit):
    page = visit()
    section = shown(page).locator("section.cost")
    section.scroll_into_view_if_needed()
    page.wait_for_selector("section.cost .chart .scatterlayer .points path")
    assert section.locator(".points path").count() == 3
    assert "GSA, NET" in section.locator(".front").inner_text()
    section.get_by_label("Cost").select_option("parameters")
    section.get_by_label("Index").select_option("full_hqnr")
    assert "HQNR" in section.locator(".ytitle").text_content()
    assert section.locator(".front").inner_text().endswith(": GSA, NET.")


def test_scores_per_image_mark_one_image_everywhere(visit):
    page = visit()
    section = shown(page).locator("section.scores")
    section.get_by_label("Mark image").select_option("1")
    assert section.locator("circle.marked").count() == 3
    section.get_by_text("The same as a table").click()
    assert section.locator("table tbody tr").count() == 3


def test_narrow_screens_scroll_the_table_and_not_the_page(visit):
    page = visit(width=360)
    viewer(page)
    page.wait_for_timeout(100)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    box = shown(page).locator("section.leaderboard .scroll")
    assert box.evaluate("box => box.scrollWidth > box.clientWidth")


def test_paper_shows_no_controls(visit):
    page = visit()
    page.emulate_media(media="print")
    assert page.locator(".controls:visible, .tabs:visible").count() == 0
    assert shown(page).locator(".board").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(visit, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python")
    page = visit(color_scheme=scheme)
    viewer(page)
    page.wait_for_selector("section.cost .chart .scatterlayer")
    for details in page.locator("div.group:visible details").all():
        details.evaluate("element => { element.open = true }")
    found = axe.Axe().run(page, options={"preload": False}).response["violations"]
    assert [(item["id"], [node["html"][:160] for node in item["nodes"]]) for item in found] == []
