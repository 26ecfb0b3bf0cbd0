"""The leak report: which objects, born where, held by whom, growing how; and what else is alive."""

from __future__ import annotations

from ..model import units
from ..model.leaks import Growth, Leak
from . import console, source

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 32
_FRAMES = 5  # of the call stack, in one line
_HOLDERS = 4
_PARTS = 5
_STRAY = 0.02  # of the objects of the commonest type: fewer are not named

_VERDICTS = {
    "flat": "warmed up, then stayed",
    "sawtooth": "goes up and comes down",
    "once": "allocated once",
    "late": "too near the end to judge",
}


def lines(report: Growth, top: int) -> list[console.Line]:
    """The whole report; at most ``top`` leaks and ``top`` others."""
    heads = [at for at, leak in enumerate(report.leaks) if leak.part_of is None]
    result = [_title(report, len(heads))]
    for number, at in enumerate(heads[:top], start=1):
        parts = [leak for leak in report.leaks if leak.part_of == at]
        result += [[], *_leak_lines(number, report.leaks[at], parts, report)]
    if len(heads) > top:
        result += [[], console.line(f"({_more(len(heads) - top)}: see --top)")]
    if report.unfollowed:
        result += [
            [],
            console.line(
                f"({report.unfollowed:,} references could not be followed: the "
                "traverse function of a C type reports what is no object)"
            ),
        ]
    return result + [[]] + _others(report, top)


def _more(count: int) -> str:
    return "1 more leak" if count == 1 else f"{count} more leaks"


def _length(report: Growth) -> str:
    if report.unit == "second":
        return units.seconds(report.seconds)
    return f"{report.seconds:,.0f} {report.unit}s"


def _title(report: Growth, leaks: int) -> console.Line:
    length = _length(report)
    if report.too_short:
        return console.line(
            (f"Too short to judge: {length}, {report.checkpoints} checkpoints.", console.TITLE),
            " A leak shows by growth over time; this is what is alive.",
        )
    if not leaks:
        return console.line((f"No leaks: nothing grew through the whole run ({length}).", "bold"))
    return console.line(
        (f"Leaks: {leaks}", console.ALARM),
        f" grew through the whole run ({length}) and {'is' if leaks == 1 else 'are'} still alive",
    )


# ---- one leak -----------------------------------------------------------------------------------


def _unit(report: Growth) -> str:
    return "s" if report.unit == "second" else report.unit


def _objects_per_block(leak: Leak) -> float:
    """An object may have blocks beside it; a block or two more are their container's table."""
    if not leak.objects or leak.objects >= leak.live_blocks:
        return 1
    each = max(round(leak.live_blocks / leak.objects), 1)
    if abs(leak.live_blocks - each * leak.objects) <= 2:
        return 1 / each
    return leak.objects / leak.live_blocks


def name_objects(leak: Leak) -> str:
    """``1,204 app.Session objects``, or in words what there is instead."""
    if leak.objects is None:
        return f"{units.size(leak.live_bytes)} in {units.blocks(leak.live_blocks)}"
    if not leak.objects and not leak.owners:
        return (
            f"{units.size(leak.live_bytes)} in {units.blocks(leak.live_blocks)} that belong to "
            "no Python object: raw memory held by C code"
        )
    least = max(leak.types.values()) * _STRAY  # a free list may give out a block of this line
    types = [(name, count) for name, count in leak.types.items() if count >= least]
    text = ", ".join(f"{count:,} {name}" for name, count in types[:3])
    if len(types) > 3:
        others = len(types) - 3
        text += f" and {others} other {'type' if others == 1 else 'types'} of"
    count = sum(leak.types.values())
    noun = "object" if count == 1 else "objects"
    return f"{text} {noun}" if leak.objects else f"buffer of {text} {noun}"


def _rate(leak: Leak, unit: str) -> str:
    if leak.objects:
        rate = leak.blocks_per_second * _objects_per_block(leak)
        whole = abs(rate) >= 10 or abs(rate - round(rate)) < 0.1
        return f"{rate:+,.0f}/{unit}" if whole and round(rate) else f"{rate:+,.2g}/{unit}"
    return f"{units.size(leak.bytes_per_second, sign=True)}/{unit}"


def headline(leak: Leak, unit: str = "s") -> str:
    """``1,204 app.Session objects (+40/s, 31.2 MiB retained)``"""
    size = leak.live_bytes if leak.retained_bytes is None else leak.retained_bytes
    word = "retained" if leak.objects else "live"
    return f"{name_objects(leak)} ({_rate(leak, unit)}, {units.size(size)} {word})"


def born(leak: Leak) -> str:
    """``app.py:88 in open_session  <-  app.py:41 in handle``"""
    frames = list(leak.traceback)[::-1]
    texts = [source.site_text(frame) for frame in frames[:_FRAMES]]
    if len(frames) > _FRAMES:
        texts.append("...")
    return "  <-  ".join(texts)


def held(leak: Leak) -> list[tuple[str, str]]:
    """(path, ``1,204 of 1,204``) for the holders of most objects."""
    total = leak.objects or leak.owners or 0
    least = max((holder.objects for holder in leak.holders), default=0) * _STRAY
    shown = [holder for holder in leak.holders[:_HOLDERS] if holder.objects >= least]
    rows = [(holder.detail, f"{holder.objects:,} of {total:,}") for holder in shown]
    if others := leak.holders[len(shown) :]:
        rest = sum(holder.objects for holder in others)
        ways = "1 other way" if len(others) == 1 else f"{len(others)} other ways"
        rows.append((ways, f"{rest:,} of {total:,}"))
    return rows


def grew(leak: Leak, report: Growth) -> str:
    """``steadily through 60 s: 12 -> 1,204, no drop at any collection``"""
    at, show, last = 2, units.count, leak.objects or leak.live_blocks
    each = min(last / max(leak.live_blocks, 1), 1)
    if leak.live_blocks < 5:
        each, at, show, last = 1, 1, units.size, leak.live_bytes
    values = [int(point[at] * each) for point in leak.points] or [0]
    fall = highest = 0
    for value in values:
        highest = max(highest, value)
        fall = max(fall, highest - value)
    drop = f"largest drop {show(fall)}" if fall > 0 else "no drop at any collection"
    return f"steadily through {_length(report)}: {show(values[0])} -> {show(last)}, {drop}"


def _leak_lines(number: int, leak: Leak, parts: list[Leak], report: Growth) -> list[console.Line]:
    frame = leak.traceback[-1]
    result = [
        console.line(
            (f"{number}. ", console.TITLE), (headline(leak, _unit(report)), console.ALARM)
        ),
        console.line("     born   ", (born(leak), console.SITE)),
    ]
    if text := source.source_text(frame):
        result.append(console.line("              ", (text, console.SOURCE)))
    result += [
        console.line("     held   ", f"{path:<56}  ", (count, console.NUMBER))
        for path, count in held(leak)
    ]
    curve = spark_line([point[1] for point in leak.points])
    result.append(console.line("     grew   ", grew(leak, report)))
    result.append(console.line("            ", (curve, console.NUMBER)))
    for part in parts[:_PARTS]:
        result.append(
            console.line(
                "     with   ",
                f"{name_objects(part)}, {units.size(part.live_bytes)}   ",
                (source.site_text(part.traceback[-1]), console.SITE),
            )
        )
    if len(parts) > _PARTS:
        size = sum(part.live_bytes for part in parts[_PARTS:])
        result.append(console.line(f"     with   {len(parts) - _PARTS} more, {units.size(size)}"))
    return result


def spark_line(values: list[int], width: int = _WIDTH) -> str:
    """A curve in one line of text, from zero up to the largest value."""
    if not values:
        return ""
    step = max(len(values) / width, 1)
    picked = [values[int(i * step)] for i in range(min(width, len(values)))]
    highest = max(*picked, 1)
    return "".join(_BARS[min(value * len(_BARS) // highest, len(_BARS) - 1)] for value in picked)


# ---- what else is alive -------------------------------------------------------------------------


def _others(report: Growth, top: int) -> list[console.Line]:
    others = report.still_alive
    if not others:
        return []
    shown = f"top {top} of {len(others)} call stacks" if len(others) > top else "by call stack"
    result = [
        console.line((f"Still alive, but not growing ({shown})", console.TITLE))
        if not report.too_short
        else console.line((f"Still alive ({shown})", console.TITLE))
    ]
    for leak in others[:top]:
        verdict = "" if report.too_short else f"   {_VERDICTS[leak.verdict]}"
        result.append(
            console.line(
                (f"  {units.size(leak.live_bytes):>10}", console.NUMBER),
                f" {leak.live_blocks:>10,} blocks   ",
                (source.site_text(leak.traceback[-1]), console.SITE),
                (verdict, console.QUIET),
            )
        )
    return result
