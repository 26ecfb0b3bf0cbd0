"""The leak report: what grew through the whole run, and what else is still alive."""

from __future__ import annotations

from .. import format
from ..leaks import Leak, LeakReport
from . import console, source

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 32

_VERDICTS = {
    "flat": "warmed up, then stayed",
    "sawtooth": "goes up and comes down",
    "once": "allocated once",
    "late": "too near the end to judge",
}


def lines(report: LeakReport, top: int) -> list[console.Line]:
    """The whole report; at most ``top`` leaks and ``top`` others."""
    result = [_title(report)]
    for number, leak in enumerate(report.leaks[:top], start=1):
        result += ["", *_leak_lines(number, leak)]
    if len(report.leaks) > top:
        result += ["", console.line(f"({len(report.leaks) - top} more leaks: see --top)")]
    return [item or [] for item in result] + [[]] + _others(report, top)


def _title(report: LeakReport) -> console.Line:
    seconds = format.seconds(report.seconds)
    if report.too_short:
        return console.line(
            (f"Too short to judge: {seconds}, {report.checkpoints} checkpoints.", console.TITLE),
            " A leak shows by growth over time; this is what is alive.",
        )
    if not report.leaks:
        return console.line((f"No leaks: nothing grew through the whole run ({seconds}).", "bold"))
    one = len(report.leaks) == 1
    what = "1 call stack" if one else f"{len(report.leaks)} call stacks"
    return console.line(
        (f"Leaks: {what}", console.ALARM),
        f" grew through the whole run ({seconds}) and {'is' if one else 'are'} still alive",
    )


def _leak_lines(number: int, leak: Leak) -> list[console.Line]:
    frame = leak.traceback[-1]
    rate = f"{format.size(leak.bytes_per_second, sign=True)}/s"
    blocks = f"{leak.blocks_per_second:+,.1f} blocks/s"
    return [
        console.line(
            (f"{number}. ", console.TITLE),
            (f"{format.size(leak.live_bytes)}", console.ALARM),
            f" in {format.blocks(leak.live_blocks)}, {rate}, {blocks}   ",
            (source.site_text(frame), console.SITE),
        ),
        console.line(
            f"   {format.size(leak.first_bytes)} ",
            (spark_line([point[1] for point in leak.points]), console.NUMBER),
            f" {format.size(leak.last_bytes)}",
        ),
        *source.stack_lines(reversed(leak.traceback), "     "),
    ]


def spark_line(values: list[int], width: int = _WIDTH) -> str:
    """A curve in one line of text, from zero up to the largest value."""
    if not values:
        return ""
    step = max(len(values) / width, 1)
    picked = [values[int(i * step)] for i in range(min(width, len(values)))]
    highest = max(*picked, 1)
    return "".join(_BARS[min(value * len(_BARS) // highest, len(_BARS) - 1)] for value in picked)


def _others(report: LeakReport, top: int) -> list[console.Line]:
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
                (f"  {format.size(leak.live_bytes):>10}", console.NUMBER),
                f" {leak.live_blocks:>10,} blocks   ",
                (source.site_text(leak.traceback[-1]), console.SITE),
                (verdict, console.QUIET),
            )
        )
    return result
