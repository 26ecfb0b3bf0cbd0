"""Memory over time as a picture, drawn with matplotlib (https://matplotlib.org)."""

from __future__ import annotations

import os
import re
import textwrap

import matplotlib
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ..model.recording import Recording, function_labels, slope

_TITLE, _LABEL = 120, 40  # characters that have room
_ROWS = 26  # of the legend


def _short(text: str) -> str:
    return text if len(text) <= _LABEL else "…" + text[1 - _LABEL :]


def save(recordings: list[Recording], settings, path: str) -> None:
    """Write a picture in the format that the name ends in. ValueError for one that matplotlib does
    not know."""
    if settings.backend:
        matplotlib.use(settings.backend)
    figure_of(recordings, settings).savefig(path)


def figure_of(recordings: list[Recording], settings) -> Figure:
    figure = Figure(figsize=(14, 6), dpi=90, layout="constrained")
    axes = figure.add_subplot()
    for recording in recordings:
        _draw(axes, recording, settings, len(recordings) == 1)
    axes.set(xlabel="time (in seconds)", ylabel="memory used (in MiB)")
    axes.set_ylim(bottom=0)
    if settings.window:
        axes.set_xlim(*settings.window)
    title = settings.title or (recordings[0].command if len(recordings) == 1 else "")
    axes.set_title(textwrap.fill(title or "", _TITLE), parse_math=False)
    axes.grid(alpha=0.4)
    _add_legend(axes)
    return figure


def _add_legend(axes) -> None:
    """Of all lines that were given a label; by itself matplotlib leaves out those with an _."""
    named = [(line, line.get_label()) for line in axes.get_lines()]
    named = [(line, name) for line, name in named if not re.fullmatch(r"_child\d+", name)]
    legend = axes.legend(
        *zip(*named, strict=True),
        loc="center left",
        bbox_to_anchor=(1, 0.5),
        ncols=-(-len(named) // _ROWS),
        fontsize="small",
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def _draw(axes, recording: Recording, settings, is_alone: bool) -> None:
    start = recording.start
    times = [sample.time - start for sample in recording.samples]
    memory = [sample.memory for sample in recording.samples]
    name = _short(os.path.basename(recording.path))
    of = "" if is_alone else f" of {name}"
    axes.plot(times, memory, label=name)
    for pid, samples in recording.children.items():
        below = [(sample.time - start, sample.memory) for sample in samples]
        axes.plot(*zip(*below, strict=True), "--", label=f"child {pid}{of}")
    if settings.slope:
        rate, first = slope(recording.samples)
        ends = (times[0], times[-1])
        line = [first + rate * (end - times[0]) for end in ends]
        axes.plot(ends, line, ":", label=f"slope {rate:+.4g} MiB/s{of}")
    if is_alone:
        top = memory.index(max(memory))
        axes.axhline(memory[top], color="red", linestyle="--", linewidth=1)
        axes.axvline(times[top], color="red", linestyle="--", linewidth=1)
        if not settings.no_function_ts:
            _draw_calls(axes, recording, settings.flame)


def _draw_calls(axes, recording: Recording, is_flame: bool) -> None:
    labels = function_labels(recording.calls)
    levels = axes.twinx() if is_flame else None
    if levels is not None:
        deepest = max((c.level for calls in recording.calls.values() for c in calls), default=0)
        levels.set(ylim=(0, 3 * (deepest + 2)), yticks=[])
    for number, (name, calls) in enumerate(recording.calls.items()):
        colour = f"C{number % 9 + 1}"
        for index, call in enumerate(calls):
            label = None if index else labels[name]
            x0, x1 = call.start - recording.start, call.end - recording.start
            if levels is not None:
                box = Rectangle((x0, call.level), x1 - x0, 0.9, color=colour, alpha=0.5)
                levels.add_patch(box)
                text = levels.text(x0, call.level + 0.45, labels[name], va="center")
                text.set_clip_path(box)
            else:
                axes.plot(
                    [x0],
                    [call.memory_start],
                    color=colour,
                    marker="$[$",
                    markersize=12,
                    linestyle="none",
                    label=label,
                )
                axes.plot(
                    [x1],
                    [call.memory_end],
                    color=colour,
                    marker="$]$",
                    markersize=12,
                    linestyle="none",
                )
