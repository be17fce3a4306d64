import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.bench.fake_store import PROTOCOL, SCORES, add, add_images, fail
from waldbench.bench import reports
from waldbench.bench.figures import (
    boxes,
    curves,
    details,
    gallery,
    ranks,
    scatter,
    sensor_plot,
    style,
    writer,
)
from waldbench.bench.files import load_arrays, save_arrays
from waldbench.bench.results import leaderboard
from waldbench.bench.results.scores import samples
from waldbench.bench.results.store import Store
from waldbench.imaging import sensors
from waldbench.imaging.filters import gaussian_kernel

NAME = f"{PROTOCOL}_wv2-simulated"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Coarse pictures, and fonts that are not cut down to the letters used: that takes most of the time of a PDF."""
    monkeypatch.setitem(style.SETTINGS, "pdf.fonttype", 3)
    monkeypatch.setattr(style, "DPI", {"pdf": 80, "png": 80})


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    for method in SCORES:
        add(store, method)
    add_images(store)
    return store


def texts(figure):
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text)]


FAST = {f"{NAME}_{kind}" for kind in ("reduced-0", "full-0", "cost", "boxes")}
SLOW = {f"{NAME}_{kind}" for kind in ("reduced-0_detail", "flops", "parameters", "training")} | {"sensor_wv2"}


def names(paths):
    return {path.name.removesuffix(path.suffix) for path in paths}


def test_every_figure_is_written_once_as_png_and_pdf_and_fast_ones_replace_no_others(store):
    curve = [{"step": step, "loss": 1 / step, "ergas": 10 / step, "sam": 9 / step} for step in (10, 20, 30)]
    add(store, "net", training={"curve": curve, "best_step": 20})
    add_images(store)
    paths = writer.write(store)
    assert names(paths) == FAST | SLOW
    assert {path.suffix for path in paths} == {".png", ".pdf"}
    with Image.open(store.root / "figures" / f"{NAME}_reduced-0.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 500
    assert (store.root / "figures" / f"{NAME}_reduced-0.pdf").read_bytes().startswith(b"%PDF")
    assert names(writer.write(store, fast=True)) == FAST | SLOW
    add(store, "net", SCORES["gsa"])
    assert names(writer.write(store, fast=True)) == FAST | {"sensor_wv2"}
    assert not (store.root / "figures" / f"{NAME}_flops.png").exists()


def test_unchanged_figures_are_left_alone_and_changed_or_broken_ones_drawn_again(store):
    paths = writer.write(store, fast=True)
    assert names(paths) == FAST
    first = {path: path.stat().st_mtime_ns for path in paths}
    assert writer.write(store, fast=True) == paths
    assert {path: path.stat().st_mtime_ns for path in paths} == first
    file = store.root / PROTOCOL / "wv2-simulated" / "net" / "seed-42" / "images.npz"
    save_arrays(file, {key: image // 2 for key, image in load_arrays(file).items()})
    (store.root / "figures" / f"{NAME}_boxes.png").write_bytes(b"torn")
    writer.write(store, fast=True)
    changed = names(path for path, time in first.items() if path.stat().st_mtime_ns != time)
    assert changed == FAST - {f"{NAME}_cost"}


def test_panels_stand_in_order_with_the_error_in_digital_numbers(store):
    reference = {key.removeprefix("reduced-0-"): image for key, image in store.reference(PROTOCOL, "wv2-simulated").items()}
    fused = reference["gt"] + np.uint16(7)
    panels = gallery.make_panels({key: reference[key] for key in ("gt", "lms", "guide")}, {"Net": fused}, (4, 2, 1))
    assert [panel.title for panel in panels] == ["EXP", "Net", "GT", "PAN"]
    np.testing.assert_array_equal(panels[1].error, 7)
    assert panels[0].error.mean() == pytest.approx(np.abs(reference["lms"].astype(float) - reference["gt"]).mean(), rel=1e-5)
    assert panels[2].error is None
    low, high = gallery.limits(reference["gt"], (4, 2, 1))
    red = np.clip((fused[4] - low[0]) / (high[0] - low[0]), 0, 1)
    np.testing.assert_allclose(panels[1].colours[..., 0], red)


def test_without_ground_truth_the_difference_to_lms_is_shown(store):
    reference = {key.removeprefix("full-0-"): image for key, image in store.reference(PROTOCOL, "wv2-simulated").items()}
    wanted = {key: reference[key] for key in ("lms", "guide")}
    panels = gallery.make_panels(wanted, {"Net": wanted["lms"] + np.uint16(3)}, (4, 2, 1))
    assert [panel.title for panel in panels] == ["EXP", "Net", "PAN"]
    assert panels[0].error is None
    np.testing.assert_array_equal(panels[1].error, 3)


@pytest.mark.parametrize("corner", [(0, 0), (20, 60), (192, 128)])
def test_the_zoom_finds_the_busy_window(corner):
    guide = np.full((256, 192), 500, np.uint16)
    top, left = corner
    guide[top : top + 48, left : left + 48] += np.random.default_rng(0).integers(0, 900, (48, 48)).astype(np.uint16)
    rows, columns = gallery.busiest(guide)
    assert rows.stop - rows.start == columns.stop - columns.start == 48
    assert abs(rows.start - top) <= 2
    assert abs(columns.start - left) <= 2


@pytest.mark.parametrize("size", [(8, 8), (33, 40)])
def test_the_zoom_stays_inside_small_images(size):
    rows, columns = gallery.busiest(np.arange(size[0] * size[1]).reshape(size))
    assert 0 <= rows.start < rows.stop <= size[0]
    assert 0 <= columns.start < columns.stop <= size[1]


@pytest.mark.parametrize("count", [0, 1, 5, 6, 14, 25])
def test_many_methods_wrap_and_nothing_leaves_the_page(store, count):
    reference = {key.removeprefix("reduced-0-"): image for key, image in store.reference(PROTOCOL, "wv2-simulated").items()}
    images = {f"Method {number}": reference["lms"] for number in range(count)}
    with style.settings():
        figure = gallery.draw({key: reference[key] for key in ("gt", "lms", "guide")}, images, (4, 2, 1), "SIMULATED data")
    assert figure.get_size_inches()[0] <= style.PAGE_WIDTH + 1e-6
    boxes = [axes.get_position() for axes in figure.axes]
    assert all(min(box.x0, box.y0) >= 0 and max(box.x1, box.y1) <= 1 for box in boxes)
    assert len(boxes) == 3 * (count + 3) + 1
    assert set(images) <= set(texts(figure))
    limits = {image.get_clim() for axes in figure.axes for image in axes.images if image.get_cmap().name == style.ERRORS}
    assert len(limits) == 1


@pytest.mark.parametrize(("sensor", "bands", "guide_bands"), [("unnamed", 5, 2)])
def test_any_sensor_and_guide_can_be_drawn(tmp_path, sensor, bands, guide_bands):
    store = Store(tmp_path)
    add(store, "net", dataset="wv2-simulated")
    add_images(store, ("net",), bands=bands, guide_bands=guide_bands)
    frame = leaderboard.build(store).assign(sensor=sensor)
    assert names(writer.write(store, frame, fast=True)) == FAST


def test_methods_without_kept_images_or_with_another_shape_are_left_out(store):
    folder = store.root / PROTOCOL / "wv2-simulated" / "gsa" / "seed-42"
    save_arrays(folder / "images.npz", {"reduced-0": np.zeros((8, 3, 3), np.uint16)})
    reference, images = store.reference(PROTOCOL, "wv2-simulated"), {"GSA": load_arrays(folder / "images.npz"), "LATE": {}}
    assert writer._choose("reduced-0", reference, images)[1] == {}


def test_failed_methods_alone_give_no_figure_but_that_of_the_sensor(tmp_path):
    store = Store(tmp_path)
    fail(store, "net", "no memory")
    assert writer.write(store, fast=True) == []


def many(store, count):
    draw = np.random.default_rng(3)
    frame = leaderboard.build(store)
    rows = frame.iloc[np.arange(count) % len(frame)].reset_index(drop=True)
    rows["title"] = [f"MTF-GLP-{number}" for number in range(count)]
    rows["family"] = [("deep", "variational", "mine", "")[number % 4] for number in range(count)]
    return rows.assign(cpu_ms_256=np.exp(draw.normal(3, 1, count)), reduced_ergas_mean=draw.normal(4, 0.5, count))


def test_labels_of_the_cost_figure_cover_neither_each_other_nor_the_border(store):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    with style.settings():
        figure = scatter.draw(many(store, 24))
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        notes = figure.axes[0].texts
        boxes = [Text.get_window_extent(note, canvas.get_renderer()) for note in notes]
        frame = figure.axes[0].get_window_extent()
    assert [note.get_text() for note in notes].count("MTF-GLP-0") == 1
    assert len(notes) == 24
    assert not [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]
    assert all(frame.x0 - 1 <= box.x0 and box.x1 <= frame.x1 + 1 for box in boxes)


def test_cost_figure_names_source_protocol_machine_and_direction(store):
    with style.settings():
        text = " ".join(texts(scatter.draw(leaderboard.build(store)))).replace("\n", " ")
    for part in ("SIMULATED data", PROTOCOL, "Test 1 CPU, 2 threads", "Reduced resolution: ERGAS ↓", "(ms) ↓"):
        assert part in text


def test_cost_figures_need_both_numbers_and_draw_methods_without_cost_at_zero(store):
    frame = leaderboard.build(store)
    with style.settings():
        figure = scatter.draw(frame, "parameters")
        assert scatter.draw(frame, "cuda") is None
        assert scatter.draw(frame.assign(parameters=0), "parameters") is None
    axes = figure.axes[0]
    ticks = dict(zip(axes.get_xticks(), (label.get_text() for label in axes.get_xticklabels()), strict=True))
    assert ticks[466.252 * scatter.ZERO] == "0"
    assert "Parameters (k)" in texts(figure)


@pytest.mark.parametrize(("higher", "rows"), [(False, [0, 2, 4]), (True, [1, 3])])
def test_the_line_of_the_best_holds_what_nothing_beats(higher, rows):
    cost = pd.Series([1.0, 1.0, 2.0, 3.0, 4.0])
    value = pd.Series([5.0, 6.0, 4.0, 7.0, 1.0])
    assert scatter.front(cost, value, higher) == rows


@pytest.fixture
def ten(tmp_path):
    """Three methods on ten images, always in the order net, gsa, exp, and one index that only two of them have."""
    store = Store(tmp_path)
    hard = np.random.default_rng(0).normal(5, 1, 10)
    for number, method in enumerate(("net", "gsa", "exp")):
        extra = {} if method == "exp" else {"sam": hard}
        add(store, method, {"ergas": hard + number, "hqnr": [0.5]} | extra, counts={"reduced": 10, "full": 1})
    return store


def test_boxes_hold_every_image_of_every_method_that_has_the_index(ten):
    with style.settings():
        figure = boxes.draw(leaderboard.build(ten), samples(ten))
    assert [axes.get_title() for axes in figure.axes] == ["SAM ↓ (°), reduced", "ERGAS ↓, reduced"]
    points = [axes.collections[0].get_offsets() for axes in figure.axes]
    assert [len(found) for found in points] == [20, 30]
    values = samples(ten).query("method == 'net' and metric == 'ergas'")["value"]
    np.testing.assert_allclose(sorted(x for x, y in points[1] if y == 0), sorted(values))
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["NET", "GSA", "EXP"]


def test_boxes_need_two_images(tmp_path):
    store = Store(tmp_path)
    add(store, "net", {"hqnr": [0.9]})
    assert boxes.draw(leaderboard.build(store), samples(store)) is None


def test_the_rank_diagram_prints_mean_ranks_and_the_critical_difference(ten):
    with style.settings():
        found = texts(ranks.draw(leaderboard.build(ten), samples(ten)))
    assert {"NET (a)  1.00", "GSA (b)  2.00", "3.00  EXP (c)"} <= set(found), found
    assert any("10 images; Friedman p < 0.0001: methods differ" in text for text in found)
    # q = 2.343 for three methods (Demsar, 2006, table 5).
    assert any(f"critical difference {2.343 * np.sqrt(3 * 4 / 60):.2f}" in text for text in found)


def test_few_images_or_methods_give_no_rank_diagram(store):
    assert ranks.draw(leaderboard.build(store), samples(store)) is None


@pytest.mark.parametrize("count", [1, 4, 9])
def test_titles_of_columns_do_not_run_into_each_other(store, count):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    reference = {key.removeprefix("reduced-0-"): image for key, image in store.reference(PROTOCOL, "wv2-simulated").items()}
    images = {f"DSen2-CR-lite{number} (no guide)": reference["lms"] for number in range(count)}
    with style.settings():
        figure = gallery.draw({key: reference[key] for key in ("gt", "lms", "guide")}, images, (4, 2, 1), "SIMULATED data")
        FigureCanvasAgg(figure).draw()
    titled = [axes for axes in figure.axes if axes.get_title()]
    assert len(titled) == count + 3
    for axes in titled:
        assert axes.title.get_window_extent().width <= 1.02 * axes.bbox.width


def test_detail_maps_share_a_scale_and_print_the_mean_error(store):
    reference = {key.removeprefix("reduced-0-"): image for key, image in store.reference(PROTOCOL, "wv2-simulated").items()}
    wanted = {key: reference[key] for key in ("gt", "lms", "guide")}
    with style.settings():
        figure = details.draw(wanted, {"A": reference["gt"] + np.uint16(7), "B": reference["lms"]}, (4, 2, 1), "SIMULATED data")
    maps = [axes.images[0] for axes in figure.axes if axes.images and axes.images[0].get_cmap().name == style.ERRORS]
    assert len({image.get_clim() for image in maps}) == 1
    assert "mean 7.0" in texts(figure)
    assert {"PAN", "MS, interpolated", "A", "B"} <= set(texts(figure))


@pytest.mark.parametrize("figure_of", [gallery.draw, details.draw])
def test_fractions_are_shown_like_digital_numbers(store, figure_of):
    reference = {key.removeprefix("reduced-0-"): image for key, image in store.reference(PROTOCOL, "wv2-simulated").items()}
    shown = []
    for factor in (1.0, 1e-4):
        scene = {key: reference[key].astype(np.float32) * np.float32(factor) for key in ("gt", "lms", "guide")}
        with style.settings():
            figure = figure_of(
                scene, {"A": scene["gt"] + np.float32(20 * factor), "B": scene["lms"]}, (4, 2, 1), "SIMULATED data"
            )
        images = [image for axes in figure.axes for image in axes.images]
        shown.append([image.norm(image.get_array()) if image.get_array().ndim == 2 else image.get_array() for image in images])
    assert len(shown[0]) > 6
    for wanted, found in zip(*shown, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-3)
    assert {"0.002", "mean 0.002"} & set(texts(figure))


def test_training_curves_share_a_look_among_seeds_and_mark_the_chosen_step(tmp_path):
    store = Store(tmp_path)
    curve = [{"step": step, "loss": 1 / step, "ergas": 10 / step, "sam": 9 / step} for step in (10, 20, 30)]
    for seed in (1, 2):
        add(store, "net", seed=seed, training={"curve": curve, "best_step": 20})
    add(store, "gsa")
    with style.settings():
        figure = curves.draw(store.cells(), "SIMULATED data")
    lines = [line for line in figure.axes[1].lines if len(line.get_xdata()) == 3]
    assert len(lines) == 2
    assert len({line.get_color() for line in lines}) == 1
    assert [list(line.get_xdata()) for line in figure.axes[1].lines if len(line.get_xdata()) == 1] == [[20], [20]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["NET"]
    assert curves.draw([], "nothing") is None


@pytest.mark.parametrize("key", ["wv3", "qb"])
def test_the_drawn_mtf_is_that_of_the_filters(key):
    sensor = sensors.get(key)
    kernel = gaussian_kernel(sensor.mtf[0], sensor.ratio).numpy()
    taps = kernel.sum(0)
    # Frequencies up to twice the Nyquist frequency of the low-resolution grid, in cycles per pixel of the fine grid.
    f = np.linspace(0, 2, 21)
    phase = 2 * np.pi * np.outer(f / (2 * sensor.ratio), np.arange(len(taps)) - len(taps) // 2)
    # The toolbox samples 41 frequencies as if they were 40: its filters are a little lower than their nominal gain.
    np.testing.assert_allclose(np.cos(phase) @ taps, sensor_plot.response(sensor.mtf[0], f * 41 / 40), atol=0.002)
    with style.settings():
        found = texts(sensor_plot.draw(sensor))
    assert {"blue", "PAN", f"PAN: {sensor.pan_mtf:g}"} <= set(found)


def test_many_bands_are_drawn_without_their_names():
    with style.settings():
        assert "band 7" not in texts(sensor_plot.draw(sensors.generic(100)))


def test_reports_write_everything(store):
    problems = []
    paths = reports.write_all(store, reports.Choice(figures="fast"), report=problems.append)
    assert problems == []
    assert len(paths) == 3 + 3 + 2 * len(FAST) + 1
    assert store.root / "site" / "index.html" in paths
    assert all(path.is_file() for path in paths)
    assert len(reports.write_all(store, reports.Choice(figures="none"))) == 7


def test_a_failure_in_a_figure_keeps_the_numbers(store, monkeypatch, capsys):
    def explode(*_arguments):
        raise RuntimeError("no font")

    monkeypatch.setattr(writer, "write", explode)
    problems = []
    paths = reports.write_all(store, report=problems.append)
    assert problems == ["figures could not be written: RuntimeError: no font"]
    assert {path.name for path in paths} >= {"leaderboard.csv", "scores.csv", "all.tex"}
    reports.write_all(store)
    assert "no font" in capsys.readouterr().err
