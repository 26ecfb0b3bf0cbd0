"""How much memory a piece of code takes at its peak: %memit's numbers, without IPython."""

from __future__ import annotations

import statistics
from collections import namedtuple
from types import CodeType

from .. import _core
from ..model.line_table import PEAK, Function
from ..model.units import MIB
from ..quiet import quiet
from . import tracing


class Measure(namedtuple("Measure", "baseline traced resident is_sampled")):
    """Bytes: resident memory before, and how far traced and resident memory rose above where they
    began. ``is_sampled``: the last is what was seen at an interval."""

    __slots__ = ()

    @property
    def increment(self) -> int:
        return max(self.traced, self.resident)

    @property
    def peak(self) -> int:
        return self.baseline + self.increment


class Measuring:
    """A context manager around one run of ``code``; ``measure`` is set at its end.

    Resident memory is the kernel's high-water mark, which is reset before, where that can be
    done and ``children`` are not counted; elsewhere it is read at an interval. What memprof's
    own tables took meanwhile is not in it. Traced memory is that of all threads, or while
    a trace of the user's is under way, whose peak is left alone, that of the code.
    """

    measure: Measure

    def __init__(self, code: CodeType, interval: float = 0.1, children: bool = False):
        self.interval = interval
        self.children = children
        with quiet:
            self.lines = Function(code)

    def __enter__(self) -> Measuring:
        with quiet:
            tracing.hold(whole=True)
            try:
                self._begin()
            except BaseException:
                self._release()
                raise
        return self

    def __exit__(self, *exception) -> None:
        with quiet:
            try:
                self._end()
            finally:
                self._release()

    def _release(self) -> None:
        self.lines.core.deselect()
        tracing.let_go(whole=True)

    def _begin(self) -> None:
        self.owns_peak = tracing.is_borrowed()
        self.lines.core.select(self.lines.codes)
        self.is_sampled = self.children or not _core.reset_peak_rss()
        self.baseline = _core.resident(0, self.children)
        self.own = _core.own_memory()
        self.watch = None
        if self.is_sampled:
            self.watch = _core.watch_start(self.interval, self.children, 0, False)
        if self.owns_peak:
            _core.reset_peak()
        self.live = _core.get_traced()[0]

    def _end(self) -> None:
        traced = _core.get_traced()[1] - self.live if self.owns_peak else 0
        samples = _core.watch_stop(self.watch) if self.is_sampled else [(_core.peak_rss(), 0)]
        grown = max(0, _core.own_memory() - self.own)
        traced = max([traced, *(row[PEAK] for row in self.lines.core.read())])
        resident = max(size for size, _ in samples) - self.baseline - grown
        self.measure = Measure(self.baseline, max(0, traced), max(0, resident), self.is_sampled)


def run_code(code: CodeType, globals: dict, locals: dict, **options) -> Measure:
    """Run code once and measure it; what it raises passes through."""
    with Measuring(code, **options) as measuring:
        exec(code, globals, locals)
    return measuring.measure


class MemitResult:
    """What %memit found; MiB.

    ``mem_usage``: the peak of each run. ``baseline``: resident memory before the run with the
    highest peak. ``increments``, ``traced``, ``resident``: of each run, how far memory rose above
    where it began: the larger of the other two, traced memory, resident memory. ``repeat``,
    ``timeout``, ``interval``, ``include_children``: as they were asked for.
    """

    def __init__(self, repeat: int, timeout, interval: float, include_children: bool):
        self.repeat = repeat
        self.timeout = timeout
        self.interval = interval
        self.include_children = include_children
        self.measures: list[Measure] = []

    def add(self, measure: Measure) -> None:
        self.measures.append(measure)

    @property
    def mem_usage(self) -> list[float]:
        return [measure.peak / MIB for measure in self.measures]

    @property
    def baseline(self) -> float:
        return max(self.measures, key=lambda measure: measure.peak).baseline / MIB

    @property
    def increments(self) -> list[float]:
        return [measure.increment / MIB for measure in self.measures]

    @property
    def traced(self) -> list[float]:
        return [measure.traced / MIB for measure in self.measures]

    @property
    def resident(self) -> list[float]:
        return [measure.resident / MIB for measure in self.measures]

    def __str__(self) -> str:
        peak = max(self.mem_usage)
        text = f"peak memory: {peak:.2f} MiB, increment: {peak - self.baseline:.2f} MiB"
        if len(self.measures) > 1:
            text += f" ({self.spread()})"
        return text

    def spread(self) -> str:
        increments = self.increments
        return (
            f"increments of {len(increments)} runs: {min(increments):.2f} to "
            f"{max(increments):.2f} MiB, mean {statistics.fmean(increments):.2f} ± "
            f"{statistics.pstdev(increments):.2f}"
        )

    def _repr_pretty_(self, printer, cycle: bool) -> None:
        printer.text(f"<MemitResult : {self}>")

    def __repr__(self) -> str:
        return f"<MemitResult : {self}>"

    def _repr_html_(self) -> str:
        from ..views.html import page

        most = max(self.mem_usage)
        rows = [
            [
                page.Cell(run),
                page.Cell(f"{measure.peak / MIB:.2f} MiB", measure.peak / MIB / most, colour=1),
                page.Cell(f"{measure.increment / MIB:.2f} MiB", measure.increment / MIB / most),
                page.Cell(f"{measure.traced / MIB:.2f} MiB"),
                page.Cell(f"{measure.resident / MIB:.2f} MiB"),
            ]
            for run, measure in enumerate(self.measures, 1)
        ]
        titles = ("Run", "Peak", "Increment", "of traced memory", "of resident memory")
        return page.style() + page.table(str(self), titles, rows)
