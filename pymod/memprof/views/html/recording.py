"""Memory over time as a self-contained HTML page: an SVG, no scripts."""

from __future__ import annotations

import itertools
import time
from html import escape

from ...model.recording import Recording, function_labels, slope
from . import page

_WIDTH, _HEIGHT = 1000, 380  # of the plot; labels are around it
_LEFT, _TOP, _BOTTOM, _RIGHT = 70, 16, 44, 16
_ROW = 18  # of the flame chart
_COLOURS = ("#3a86ff", "#e4572e", "#2a9d8f", "#8338ec", "#f4a261", "#577590")
_FLAMES = ("#ffb703", "#fb8500", "#e76f51", "#f4a261", "#e9c46a")

_STYLE = """<style>
svg{max-width:100%;height:auto;font:12px system-ui,sans-serif}
svg text{fill:currentColor}.call:hover{fill-opacity:.95}
</style>"""

# As attributes: a picture that is copied out of the page keeps them.
_GRID = 'stroke="#888" stroke-opacity=".3"'
_AXIS = 'fill="none" stroke="#888"'
_LINE = 'fill="none" stroke-width="1.8"'
_PEAK = 'fill="none" stroke="#e4572e" stroke-dasharray="5 4"'
_TREND = 'stroke="#888" stroke-width="1.5" stroke-dasharray="2 3"'
_CALL = 'class="call" fill-opacity=".55"'


def _round_steps(most: float, count: int) -> list[float]:
    """Values for the lines of a grid from 0 on: 1, 2 or 5 times a power of ten apart."""
    if most <= 0:
        return [0.0]
    step = 10.0 ** len(str(int(most)))
    while most / step < count:
        for divisor in (2, 2.5, 2):
            step /= divisor
            if most / step >= count:
                break
    return [step * i for i in range(int(most / step) + 1)]


class _Scale:
    """From seconds and MiB to the picture's points."""

    def __init__(self, start: float, end: float, most: float):
        self.start, self.end, self.most = start, max(end, start + 1e-6), most or 1.0

    def x(self, seconds: float) -> float:
        return _LEFT + _WIDTH * (seconds - self.start) / (self.end - self.start)

    def y(self, memory: float) -> float:
        return _TOP + _HEIGHT * (1 - memory / self.most)

    def shows(self, seconds: float) -> bool:
        return self.start <= seconds <= self.end


def _scale(recordings, window) -> _Scale:
    end = max(
        [s.time - r.start for r in recordings for s in r.samples]
        + [c.end - r.start for r in recordings for calls in r.calls.values() for c in calls]
    )
    most = max(
        [s.memory for r in recordings for s in r.samples]
        + [s.memory for r in recordings for below in r.children.values() for s in below]
        + [
            m
            for r in recordings
            for calls in r.calls.values()
            for c in calls
            for m in (c.memory_start, c.memory_end)
        ]
    )
    start, end = window or (0.0, end)
    return _Scale(start, end, most * 1.05)


def _axes(scale: _Scale) -> list[str]:
    parts = []
    for memory in _round_steps(scale.most, 4):
        y = scale.y(memory)
        parts.append(
            f'<line {_GRID} x1="{_LEFT}" x2="{_LEFT + _WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{memory:g}</text>')
    base = _TOP + _HEIGHT
    for offset in _round_steps(scale.end - scale.start, 6):
        x = scale.x(scale.start + offset)
        parts.append(f'<line {_GRID} x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{base}"/>')
        parts.append(
            f'<text x="{x:.1f}" y="{base + 18}" text-anchor="middle">'
            f"{scale.start + offset:g}</text>"
        )
    parts.append(f'<path {_AXIS} d="M{_LEFT},{_TOP}V{base}H{_LEFT + _WIDTH}"/>')
    parts.append(f'<text x="{_LEFT + _WIDTH}" y="{base + 36}" text-anchor="end">seconds</text>')
    parts.append(f'<text x="4" y="{_TOP - 3}">MiB</text>')
    return parts


def _curve(samples, origin: float, scale: _Scale, colour: str, title: str) -> str:
    points = [(s.time - origin, s.memory) for s in samples if scale.shows(s.time - origin)]
    path = "L".join(f"{scale.x(t):.1f},{scale.y(m):.1f}" for t, m in points)
    return (
        f'<path {_LINE} stroke="{colour}" d="M{path}"><title>{escape(title)}</title></path>'
        if points
        else ""
    )


def _curves(recording):
    """(name, what it is, samples) of the process and of its children: as drawn, as in the table."""
    yield recording.path, recording.command or recording.path, recording.samples
    for pid, samples in recording.children.items():
        yield f"child {pid}", f"child {pid}", samples


def _peak(recording, scale: _Scale) -> list[str]:
    top = max(recording.samples, key=lambda sample: sample.memory)
    seconds = top.time - recording.start
    if not scale.shows(seconds):
        return []
    x, y, base = scale.x(seconds), scale.y(top.memory), _TOP + _HEIGHT
    near_end = x > _LEFT + 0.8 * _WIDTH
    anchor, at = ("end", x - 6) if near_end else ("start", x + 6)
    return [
        f'<path {_PEAK} d="M{_LEFT},{y:.1f}H{_LEFT + _WIDTH}M{x:.1f},{_TOP}V{base}"/>',
        f'<text x="{at:.1f}" y="{y - 5:.1f}" text-anchor="{anchor}">peak {top.memory:.1f} MiB '
        f"at {seconds:.2f} s</text>",
    ]


def _trend(recording, scale: _Scale) -> str:
    rate, first = slope(recording.samples)
    seconds = [s.time - recording.start for s in (recording.samples[0], recording.samples[-1])]
    (x0, x1), base = map(scale.x, seconds), seconds[0]
    y0, y1 = (scale.y(first + rate * (at - base)) for at in seconds)
    return (
        f'<line {_TREND} x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}"/>'
        f'<text x="{_LEFT + 8}" y="{_TOP + 14}">slope {rate:+.4g} MiB/s</text>'
    )


def _calls(recording, scale: _Scale) -> tuple[list[str], int]:
    """Functions as a flame chart below the curve, a row for each level; and how many rows."""
    labels = function_labels(recording.calls)
    top, deepest, parts = _TOP + _HEIGHT + _BOTTOM, -1, []
    for number, (name, calls) in enumerate(recording.calls.items()):
        colour = _FLAMES[number % len(_FLAMES)]
        for call in calls:
            start, end = call.start - recording.start, call.end - recording.start
            if end < scale.start or start > scale.end:
                continue
            deepest = max(deepest, call.level)
            x0, x1 = scale.x(max(start, scale.start)), scale.x(min(end, scale.end))
            y = top + call.level * _ROW
            about = (
                f"{name}: {end - start:.3f} s, {call.memory_start:.2f} → {call.memory_end:.2f} MiB "
                f"({call.memory_end - call.memory_start:+.2f})"
            )
            parts.append(
                f'<rect {_CALL} fill="{colour}" x="{x0:.1f}" y="{y}" '
                f'width="{max(x1 - x0, 1.5):.1f}" height="{_ROW - 2}">'
                f"<title>{escape(about)}</title></rect>"
            )
            if x1 - x0 > 7 * len(labels[name]):
                parts.append(
                    f'<text x="{x0 + 4:.1f}" y="{y + 12}" pointer-events="none">'
                    f"{escape(labels[name])}</text>"
                )
    return parts, deepest + 1


def svg(recordings: list[Recording], settings) -> str:
    """The picture. ``settings``: window, slope, no_function_ts of ``mprof plot``."""
    scale = _scale(recordings, settings.window)
    parts, rows, colours = _axes(scale), 0, itertools.cycle(_COLOURS)
    for recording in recordings:
        for _, title, samples in _curves(recording):
            parts.append(_curve(samples, recording.start, scale, next(colours), title))
        if settings.slope:
            parts.append(_trend(recording, scale))
    if len(recordings) == 1:
        parts += _peak(recordings[0], scale)
        if not settings.no_function_ts:
            calls, rows = _calls(recordings[0], scale)
            parts += calls
    width = _LEFT + _WIDTH + _RIGHT
    height = _TOP + _HEIGHT + _BOTTOM + rows * _ROW
    return f'<svg viewBox="0 0 {width} {height}" role="img">\n' + "\n".join(parts) + "\n</svg>"


def _table(recordings) -> str:
    """Of the curves; the key to their colours."""
    rows, colours = [], itertools.cycle(_COLOURS)
    for recording in recordings:
        for name, title, samples in _curves(recording):
            begin, end = samples[0].time, samples[-1].time
            command = title if samples is recording.samples else ""
            rows.append(
                [
                    page.Cell(name, is_text=True, mark=next(colours)),
                    page.Cell(command, is_text=True, wraps=True),
                    page.Cell(time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(begin))),
                    page.Cell(f"{end - begin:.2f} s"),
                    page.Cell(f"{max(sample.memory for sample in samples):.3f} MiB"),
                    page.Cell(f"{slope(samples)[0]:+.4g} MiB/s"),
                ]
            )
    titles = ("file|", "command|", "begun", "length", "peak", "slope")
    return page.table("Recordings", titles, rows)


def _functions(recording) -> str:
    rows = []
    for name, calls in recording.calls.items():
        grown = sum(call.memory_end - call.memory_start for call in calls)
        try:
            peak = f"{recording.peak(name):.3f} MiB"
        except ValueError:
            peak = "too short for a sample"
        seconds = sum(call.end - call.start for call in calls)
        rows.append(
            [
                page.Cell(name, is_text=True),
                page.Cell(len(calls)),
                page.Cell(f"{seconds:.3f} s"),
                page.Cell(f"{grown:+.3f} MiB"),
                page.Cell(peak),
            ]
        )
    return page.table("Functions", ("function|", "calls", "time", "grown", "peak"), rows)


def document(recordings: list[Recording], settings) -> str:
    """The whole document."""
    title = settings.title or (recordings[0].command if len(recordings) == 1 else None)
    body = [page.style(), _STYLE, svg(recordings, settings), _table(recordings)]
    if len(recordings) == 1 and recordings[0].calls and not settings.no_function_ts:
        body.append(_functions(recordings[0]))
    body.append(
        page.note(
            "Resident memory in MiB (2**20 bytes) over seconds. Point at a curve or a "
            "function to see what it is."
        )
    )
    return page.page(title or "memory over time", "\n".join(body))
