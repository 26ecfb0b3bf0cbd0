"""The picture of the README: slowdown by tool, and memprof on each benchmark. Plain SVG."""

from __future__ import annotations

import math
from xml.sax.saxutils import escape

from tools import TOOLS

WIDTH, LEFT, RIGHT = 760, 210, 90
ROW, THIN = 24, 15
INK, FAINT, OURS, THEIRS, WORST = "#24292f", "#8c959f", "#1a7f37", "#6e7781", "#afb8c1"


class Picture:
    """Shapes from the top down."""

    def __init__(self) -> None:
        self.shapes: list[str] = []
        self.y = 10.0

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        anchor: str = "start",
        size: int = 12,
        weight: str = "normal",
        fill: str = INK,
    ) -> None:
        self.shapes.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" '
            f'text-anchor="{anchor}" fill="{fill}">{escape(words)}</text>'
        )

    def bar(self, x: float, y: float, width: float, height: float, *, fill: str) -> None:
        self.shapes.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" height="{height}" '
            f'fill="{fill}"/>'
        )

    def title(self, words: str) -> None:
        self.y += 14
        self.text(10, self.y, words, size=14, weight="bold")
        self.y += 12

    def svg(self) -> str:
        height = int(self.y + 10)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            f'viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif">\n'
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>\n'
            + "\n".join(self.shapes)
            + "\n</svg>\n"
        )


def draw(document: dict) -> str:
    """The SVG text of a result document that has an overhead part."""
    picture = Picture()
    where = document["where"]
    totals = document["overhead"]["totals"]
    draw_tools(picture, totals, f"Run time against CPython {where['python']} without a profiler")
    draw_benchmarks(picture, document["overhead"]["benchmarks"])
    return picture.svg()


def draw_tools(picture: Picture, totals: dict, title: str) -> None:
    """Logarithmic: from 1 to the worst of all."""
    picture.title(title)
    picture.text(
        10,
        picture.y + 4,
        "geometric mean (dark) and worst benchmark (light), logarithmic",
        size=11,
        fill=FAINT,
    )
    picture.y += 14
    span = math.log(max(one["worst"] for one in totals.values())) or 1
    scale = (WIDTH - LEFT - RIGHT) / span
    for name, one in sorted(totals.items(), key=lambda item: item[1]["geomean"]):
        fill = OURS if name == "memprof" else THEIRS
        worst, mean = math.log(max(one["worst"], 1)), math.log(max(one["geomean"], 1))
        picture.text(
            LEFT - 8,
            picture.y + 14,
            TOOLS[name].title,
            anchor="end",
            weight="bold" if name == "memprof" else "normal",
        )
        picture.bar(LEFT, picture.y + 3, worst * scale, ROW - 8, fill=WORST)
        picture.bar(LEFT, picture.y + 3, mean * scale, ROW - 8, fill=fill)
        picture.text(
            LEFT + worst * scale + 5,
            picture.y + 14,
            f"{one['geomean']:.2f} / {one['worst']:.1f}",
            size=11,
        )
        picture.y += ROW


def draw_benchmarks(picture: Picture, benchmarks: dict) -> None:
    """memprof on each benchmark, from the worst on; the bars begin at 1."""
    ratios = {
        name: one["ratios"]["memprof"]
        for name, one in benchmarks.items()
        if "memprof" in one["ratios"]
    }
    if not ratios:
        return
    picture.title("memprof on each benchmark")
    longest = max(max(one["ratio"] for one in ratios.values()), 1.5) - 1
    scale = (WIDTH - LEFT - RIGHT) / longest
    for name, one in sorted(ratios.items(), key=lambda item: -item[1]["ratio"]):
        width = max(one["ratio"] - 1, 0) * scale
        picture.text(LEFT - 8, picture.y + 11, name, anchor="end", size=11)
        picture.bar(LEFT, picture.y + 2, width, THIN - 4, fill=OURS)
        picture.text(LEFT + width + 5, picture.y + 11, f"{one['ratio']:.2f}", size=10)
        picture.y += THIN
