import numpy as np
import pytest
from PIL import Image

from bench import figures, gallery, leaderboard, reports, scatter, style
from bench.store import Store, load_arrays, save_arrays
from tests.bench.fake_store import PROTOCOL, SCORES, add, add_images, fail

NAME = f"{PROTOCOL}_wv2-simulated"


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


def test_writes_png_and_pdf_of_every_kept_image_and_of_the_costs(store):
    names = {path.name for path in figures.write(store)}
    assert names == {f"{NAME}_{kind}.{suffix}" for kind in ("reduced-0", "full-0", "cost") for suffix in ("png", "pdf")}
    with Image.open(store.root / "figures" / f"{NAME}_reduced-0.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 500
    assert (store.root / "figures" / f"{NAME}_reduced-0.pdf").read_bytes().startswith(b"%PDF")


def test_unchanged_figures_are_left_alone_and_changed_ones_drawn_again(store):
    paths = figures.write(store)
    first = {path: path.stat().st_mtime_ns for path in paths}
    assert figures.write(store) == paths
    assert {path: path.stat().st_mtime_ns for path in paths} == first
    file = store.root / PROTOCOL / "wv2-simulated" / "net" / "seed-42" / "images.npz"
    save_arrays(file, {key: image // 2 for key, image in load_arrays(file).items()})
    figures.write(store)
    changed = {path.name for path, time in first.items() if path.stat().st_mtime_ns != time}
    assert changed == {f"{NAME}_{kind}.{suffix}" for kind in ("reduced-0", "full-0") for suffix in ("png", "pdf")}


def test_a_broken_figure_file_is_drawn_again(store):
    path = next(path for path in figures.write(store) if path.name.endswith("cost.png"))
    path.write_bytes(b"torn")
    figures.write(store)
    assert path.read_bytes().startswith(b"\x89PNG")


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


@pytest.mark.parametrize(("sensor", "bands", "guide_bands"), [("unnamed", 5, 1), ("wv2", 4, 1), ("qb", 4, 2)])
def test_any_sensor_and_guide_can_be_drawn(tmp_path, sensor, bands, guide_bands):
    store = Store(tmp_path)
    add(store, "net", dataset="wv2-simulated")
    add_images(store, ("net",), bands=bands, guide_bands=guide_bands)
    frame = leaderboard.build(store).assign(sensor=sensor)
    assert len(figures.write(store, frame)) == 6


def test_methods_without_kept_images_or_with_another_shape_are_left_out(store):
    add(store, "late", SCORES["gsa"])
    folder = store.root / PROTOCOL / "wv2-simulated" / "gsa" / "seed-42"
    save_arrays(folder / "images.npz", {"reduced-0": np.zeros((8, 3, 3), np.uint16)})
    assert len(figures.write(store)) == 6


def test_failed_methods_alone_give_no_figure(tmp_path):
    store = Store(tmp_path)
    fail(store, "net", "no memory")
    assert figures.write(store) == []


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


def test_cost_figure_falls_back_on_flops_and_needs_both_numbers(store):
    frame = leaderboard.build(store).assign(cpu_ms_256=float("nan"))
    with style.settings():
        assert "FLOPs" in " ".join(texts(scatter.draw(frame)))
        assert scatter.draw(frame.assign(flops_256=None)) is None


def test_reports_write_everything(store):
    problems = []
    paths = reports.write_all(store, report=problems.append)
    assert problems == []
    assert len(paths) == 3 + 3 + 6 + 1
    assert store.root / "site" / "index.html" in paths
    assert all(path.is_file() for path in paths)
    assert len(reports.write_all(store, reports.Choice(figures="none"))) == 7


def test_a_failure_in_a_figure_keeps_the_numbers(store, monkeypatch, capsys):
    def explode(*_arguments):
        raise RuntimeError("no font")

    monkeypatch.setattr(figures, "write", explode)
    problems = []
    paths = reports.write_all(store, report=problems.append)
    assert problems == ["figures could not be written: RuntimeError: no font"]
    assert {path.name for path in paths} >= {"leaderboard.csv", "scores.csv", "all.tex"}
    reports.write_all(store)
    assert "no font" in capsys.readouterr().err
