"""HTML of tables with bars, for notebooks and pages: self-contained, no scripts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

_STYLE = """
.memprof{font:12px/1.5 ui-monospace,Menlo,Consolas,monospace;border-collapse:collapse;\
margin:.4em 0 1em}
.memprof caption{text-align:left;font-weight:600;padding:.3em 0}
.memprof th{font-weight:600;border-bottom:1px solid #8886;padding:0 .7em;text-align:right}
.memprof td{padding:0 .7em;text-align:right;white-space:pre;border:0;vertical-align:top}
.memprof .text{text-align:left}
.memprof .wrap{white-space:normal;overflow-wrap:anywhere;min-width:24ch}
.memprof tr:hover td{background-color:#8882}
.memprof-note{font:12px/1.5 system-ui,sans-serif;opacity:.75;margin:.2em 0}
"""

COLOURS = ("#e4572e59", "#3a86ff59")


def style() -> str:
    return f"<style>{_STYLE}</style>"


def note(text: str) -> str:
    return f'<div class="memprof-note">{escape(text)}</div>'


class Cell:
    """A table's cell: ``share`` (0 to 1) of its width is a bar in the background. ``mark``: the
    colour of a square before the text. ``wraps``: a text that may take several lines."""

    __slots__ = ("colour", "is_text", "mark", "share", "text", "wraps")

    def __init__(
        self,
        text: object,
        share: float = 0.0,
        is_text: bool = False,
        colour: int = 0,
        mark: str = "",
        wraps: bool = False,
    ):
        self.text = str(text)
        self.share = min(max(share, 0.0), 1.0)
        self.is_text = is_text
        self.colour = COLOURS[colour]
        self.mark = mark
        self.wraps = wraps

    def html(self) -> str:
        classes = ["text"] * self.is_text + ["wrap"] * self.wraps
        name = f' class="{" ".join(classes)}"' if classes else ""
        mark = f'<i style="color:{self.mark}">■</i> ' if self.mark else ""
        bar = ""
        if self.share > 0:
            end = f"{100 * self.share:.1f}%"
            bar = (
                f' style="background-image:linear-gradient(90deg,{self.colour} {end},'
                f'transparent {end})"'
            )
        return f"<td{name}{bar}>{mark}{escape(self.text)}</td>"


def table(caption: str, titles: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """A table; a title that ends in ``|`` is that of a column of text."""
    head = "".join(
        f'<th class="text">{escape(title[:-1])}</th>'
        if title.endswith("|")
        else f"<th>{escape(title)}</th>"
        for title in titles
    )
    body = "\n".join(f"<tr>{''.join(cell.html() for cell in row)}</tr>" for row in rows)
    return (
        f'<table class="memprof"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"
    )


def page(title: str, body: str) -> str:
    """A whole document, which needs nothing else."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title>"
        "<style>body{font-family:system-ui,sans-serif;margin:1.5em;color-scheme:light dark}"
        "h1{font-size:1.2em;overflow-wrap:anywhere}</style></head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n{body}\n</body></html>\n"
    )
