"""The plots of memprof mprof, of recordings that are hard to draw."""

import re
import types
import xml.etree.ElementTree as xml

import pytest
from memprof.model import recording as mprofile
from memprof.views.html import recording as plot_page

COMMAND = "python -m package.module " + " ".join(
    f"--option-{i}=/a/path/{i}.json" for i in range(12)
)
START = 1_700_000_000.0


@pytest.fixture
def recordings(tmp_path):
    """Two with children and calls, and a command that is no title."""
    found = []
    for name in ("one.dat", "two.dat"):
        lines = [f"CMDLINE {COMMAND}"]
        for i in range(60):
            lines.append(f"MEM {20 + i % 7}.5 {START + i}")
            lines += [f"CHLD {pid} {pid - 70}.25 {START + i}" for pid in (77, 78)]
        lines += [
            f"FUNC package.function_with_a_long_name_{i} 20.0 {START + i} 21.0 {START + i + 1} 0"
            for i in range(30)
        ]
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n")
        found.append(mprofile.read(str(path)))
    return found


def settings(**changes):
    given = {
        "backend": None,
        "window": None,
        "title": None,
        "slope": True,
        "flame": False,
        "no_function_ts": False,
    }
    return types.SimpleNamespace(**given | changes)


def test_each_curve_of_a_page_has_a_colour_and_the_tables_are_the_key(recordings):
    page = plot_page.document(recordings, settings())
    picture = xml.fromstring(re.search(r"<svg.*?</svg>", page, re.DOTALL)[0])
    curves = {
        path.get("stroke"): path.find("title").text
        for path in picture.iter("path")
        if path.find("title") is not None
    }
    assert len(curves) == 6, "no two have the same"
    rows = re.findall(r'<td class="[^"]*"><i style="color:(#\w+)">■</i> ([^<]*)</td>', page)
    assert [colour for colour, _ in rows] == list(curves)
    assert [name for _, name in rows[1:3]] == ["child 77", "child 78"]


def test_a_long_command_wraps_on_a_page(recordings):
    page = plot_page.document(recordings[:1], settings())
    cell = re.search(r'<td class="([^"]*)">' + re.escape(COMMAND), page)
    assert "wrap" in cell[1].split()
    assert re.search(r"\.memprof \.wrap\{[^}]*white-space:normal", page)
    assert re.search(r"h1\{[^}]*overflow-wrap:anywhere", page)


def drawn(recordings, **changes):
    """The figure, with everything at its place."""
    pytest.importorskip("matplotlib")
    from memprof.views import recording_picture as plot_picture

    figure = plot_picture.figure_of(recordings, settings(**changes))
    figure.draw_without_rendering()
    return figure


@pytest.mark.parametrize("count", [1, 2])
def test_a_long_command_leaves_a_picture_its_room(recordings, count):
    figure = drawn(recordings[:count])
    axes = figure.axes[0]
    assert axes.get_position().width > 0.5 and axes.get_position().height > 0.6
    for part in [axes.get_legend()] + [axes.title] * (count == 1):
        box = part.get_window_extent()
        assert box.x0 >= 0 and box.x1 <= figure.bbox.x1
        assert box.y0 >= 0 and box.y1 <= figure.bbox.y1
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert len(labels) == len(set(labels))
    if count == 1:
        assert COMMAND.split() == axes.get_title().split()


def test_the_text_of_a_flame_stays_in_its_box(recordings):
    figure = drawn(recordings[:1], flame=True)
    boxes, texts = figure.axes[1].patches, figure.axes[1].texts
    assert len(boxes) == len(texts) == 30
    for box, text in zip(boxes, texts, strict=True):
        outer, inner = box.get_window_extent(), text.get_clip_box()
        assert inner is not None
        assert inner.x0 >= outer.x0 - 1 and inner.x1 <= outer.x1 + 1


def test_dollars_and_underscores_are_text(recordings, tmp_path):
    """matplotlib takes text between dollars for a formula, and leaves labels with _ out."""
    recordings[0].command = "awk {print $1 $\\frac} <&>"
    recordings[0].path = "_a$b$\\frac.dat"
    figure = drawn(recordings[:1])
    assert "_a$b$\\frac.dat" in [t.get_text() for t in figure.axes[0].get_legend().get_texts()]
    figure.savefig(tmp_path / "x.svg")
