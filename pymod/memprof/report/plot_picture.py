"""Memory over time as a picture, drawn with matplotlib (https://matplotlib.org)."""

from __future__ import annotations

import matplotlib
from matplotlib.figure import Figure

from .. import mprofile


def save(recordings: list[mprofile.Recording], settings, path: str) -> None:
    """Write a picture in the format that the name ends in. ValueError for one that matplotlib does
    not know."""
    if settings.backend:
        matplotlib.use(settings.backend)
    figure = Figure(figsize=(14, 6), dpi=90, layout="constrained")
    axes = figure.add_subplot()
    for recording in recordings:
        _draw(axes, recording, settings, len(recordings) == 1)
    axes.set(xlabel="time (in seconds)", ylabel="memory used (in MiB)")
    axes.set_ylim(bottom=0)
    if settings.window:
        axes.set_xlim(*settings.window)
    title = settings.title or (recordings[0].command if len(recordings) == 1 else "")
    axes.set_title(title or "")
    axes.grid(alpha=0.4)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path)


def _draw(axes, recording: mprofile.Recording, settings, is_alone: bool) -> None:
    start = recording.start
    times = [sample.time - start for sample in recording.samples]
    memory = [sample.memory for sample in recording.samples]
    axes.plot(times, memory, label=recording.command or recording.path)
    for pid, samples in recording.children.items():
        below = [(sample.time - start, sample.memory) for sample in samples]
        axes.plot(*zip(*below), "--", label=f"child {pid}")
    if settings.slope:
        rate, first = mprofile.slope(recording.samples)
        ends = (times[0], times[-1])
        line = [first + rate * (end - times[0]) for end in ends]
        axes.plot(ends, line, ":", label=f"slope {rate:+.4g} MiB/s")
    if is_alone:
        top = memory.index(max(memory))
        axes.axhline(memory[top], color="red", linestyle="--", linewidth=1)
        axes.axvline(times[top], color="red", linestyle="--", linewidth=1)
        if not settings.no_function_ts:
            _draw_calls(axes, recording, settings.flame)


def _draw_calls(axes, recording: mprofile.Recording, is_flame: bool) -> None:
    labels = mprofile.function_labels(recording.calls)
    levels = axes.twinx() if is_flame else None
    if levels is not None:
        deepest = max((c.level for calls in recording.calls.values() for c in calls), default=0)
        levels.set(ylim=(0, 3 * (deepest + 2)), yticks=[])
    for number, (name, calls) in enumerate(recording.calls.items()):
        colour = f"C{number % 9 + 1}"
        for index, call in enumerate(calls):
            label = None if index else labels[name].replace("_", " ", labels[name].startswith("_"))
            x0, x1 = call.start - recording.start, call.end - recording.start
            if levels is not None:
                levels.fill_betweenx((call.level, call.level + 0.9), x0, x1, color=colour, alpha=0.5)
                levels.text(x0, call.level + 0.45, labels[name], va="center", clip_on=True)
            else:
                axes.plot([x0], [call.memory_start], color=colour, marker="$[$", markersize=12,
                          linestyle="none", label=label)  # fmt: skip
                axes.plot([x1], [call.memory_end], color=colour, marker="$]$", markersize=12,
                          linestyle="none")  # fmt: skip
