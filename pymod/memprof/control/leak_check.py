"""Leaks of a function: how much each call leaves behind, by regression over many calls."""

from __future__ import annotations

import functools
import gc
import inspect
from collections.abc import Callable
from itertools import pairwise

from .. import _core
from ..model import units
from ..model.frames import Traceback
from ..model.leaks import STEADY, Leak, arrange
from ..quiet import quiet
from . import tracing
from .growth import LeakReport, explain_stacks

_EXPLAINED_AT_MOST = 50


class LeakError(AssertionError):
    """Something leaks. ``report`` is the LeakReport, which is also the message."""

    def __init__(self, message: str, report: LeakReport):
        super().__init__(message)
        self.report = report

    def __reduce__(self):
        return LeakError, (self.args[0], self.report)


class Samples:
    """The live numbers of all call stacks after each of several calls."""

    def __init__(self):
        self._rows: list[dict[int, tuple[int, int]]] = []
        self._started = False

    def begin(self) -> None:
        """Trace, unless a trace is under way."""
        if not tracing.is_tracing():
            tracing.start()
            self._started = True

    def take(self) -> None:
        """After a call, when its results are gone."""
        with quiet:
            gc.collect()
            _core.clear_type_cache()
            self._rows.append(_core.live_stacks())

    def end(self) -> None:
        self._rows = []
        if self._started:
            tracing.stop()
            self._started = False

    # ---- the verdict ----

    def _leaking(self, judge: Callable[[list[int]], bool]) -> list[tuple]:
        """(stack, [(bytes, blocks)]) of the stacks that grow, the largest first."""
        found = []
        for stack, last in self._rows[-1].items():
            points = [row.get(stack, (0, 0)) for row in self._rows]
            if last[0] > points[0][0] and judge([point[0] for point in points]):
                found.append((stack, points))
        found.sort(key=lambda item: item[1][0][0] - item[1][-1][0])
        return found

    def report(self, judge: Callable[[list[int]], bool], unit: str = "call") -> LeakReport:
        """While the trace is under way."""
        with quiet:
            found = self._leaking(judge)[:_EXPLAINED_AT_MOST]
            stacks = [stack for stack, _ in found]
            explained, unfollowed = explain_stacks(stacks) if stacks else ([], 0)
            leaks = [
                _leak(stack, points, row, stacks)
                for (stack, points), row in zip(found, explained, strict=True)
            ]
            count = len(self._rows)
            return LeakReport(
                count < 2, arrange(leaks), (), float(count - 1), count, unit, unfollowed
            )


def _leak(stack: int, points: list[tuple[int, int]], row: tuple, stacks: list[int]) -> Leak:
    objects, owners, retained, part_of, types, holders = row
    calls = max(len(points) - 1, 1)
    (first_bytes, first_blocks), (last_bytes, last_blocks) = points[0], points[-1]
    return Leak(
        traceback=Traceback(_core.stack_frames(stack)),
        verdict=STEADY,
        live_bytes=last_bytes,
        live_blocks=last_blocks,
        first_bytes=first_bytes,
        first_blocks=first_blocks,
        last_bytes=last_bytes,
        last_blocks=last_blocks,
        bytes_per_second=slope([point[0] for point in points]) if calls > 1 else last_bytes,
        blocks_per_second=pace([point[1] for point in points]) if calls > 1 else last_blocks,
        points=tuple((float(at), *point) for at, point in enumerate(points)),
        stack=stack,
        objects=objects,
        owners=owners,
        types=types,
        holders=tuple(holders),
        retained_bytes=retained,
        part_of=stacks[part_of] if part_of >= 0 else None,
    )


def slope(values: list[int]) -> float:
    """By least squares, per step."""
    count = len(values)
    middle, mean = (count - 1) / 2, sum(values) / count
    spread = sum((at - middle) ** 2 for at in range(count))
    return sum((at - middle) * (value - mean) for at, value in enumerate(values)) / spread


def pace(blocks: list[int]) -> float:
    """By how many blocks each step. One block more in one of them is the table of a container,
    which moved to a larger one there."""
    steps = sorted(after - before for before, after in pairwise(blocks))
    if len(steps) > 1 and steps[0] == steps[-2] == steps[-1] - 1:
        return steps[0]
    return slope(blocks)


def grows(values: list[int]) -> bool:
    """Does a level rise call by call? Most of the way up in a third of the calls or more, and
    without a fall to speak of; in the second half at half the pace of the first or faster, or with
    each of its calls, no slower at the end. What is filled once (a cache) or leaps now and then
    (a table) does not."""
    growth = values[-1] - values[0]
    steps = [after - before for before, after in pairwise(values)]
    half = len(steps) // 2
    first, late = sum(steps[:half]), steps[len(steps) - half :]
    quarter = max(half // 2, 1)
    goes_on = min(late) > 0 and sum(late[-quarter:]) * 4 >= sum(late[:quarter]) * 3
    rises = sum(step > 0 for step in steps)
    largest = max(steps)
    return (
        growth > 0
        and rises * 3 >= len(steps)
        and (sum(late) * 2 >= first or goes_on)
        and min(steps) * 10 >= -growth
        and (largest * 2 <= growth or len(steps) < 4)
    )


def find_leaks(func: Callable[[], object], *, warmup: int = 3, repeat: int = 12) -> LeakReport:
    """Call ``func`` ``warmup`` times, then ``repeat`` times more, and report what grows with
    each of those calls: ``report.leaks``, whose ``blocks_per_second`` and
    ``bytes_per_second`` are per call. Each call is followed by a collection.

    A trace that is under way is used, otherwise one is made for the time. What func raises
    passes through. ValueError for fewer than 4 repeats or a negative warm-up.
    """
    _check(warmup, repeat)
    samples = Samples()
    samples.begin()
    try:
        for _ in range(warmup):
            func()
        samples.take()
        for _ in range(repeat):
            func()
            samples.take()
        return samples.report(grows)
    finally:
        samples.end()


def _check(warmup: int, repeat: int) -> None:
    if warmup < 0 or repeat < 4:
        raise ValueError(f"warmup must be 0 or more and repeat 4 or more, not {warmup}, {repeat}")


def fail(report: LeakReport) -> None:
    """LeakError when there are leaks."""
    if report.leaks:
        raise LeakError(str(report), report)


class assert_no_leaks:
    """Fail with LeakError (an AssertionError that is the leak report) when code leaks.

    As a decorator, with or without arguments, of a function or a coroutine function: each call
    runs it ``warmup + repeat`` times, with the same arguments, judges as find_leaks() does and
    returns the last result.

    As a context manager the block runs once: what it has allocated and is still alive at its
    end, beyond ``limit`` bytes ("64 KB" or a number) for one call stack, is a leak. Call
    ``mark()`` of what ``with`` gives after each turn of a loop, 5 times or more, to have that
    judged instead, as find_leaks() does.
    """

    def __init__(
        self,
        func: Callable | None = None,
        *,
        warmup: int = 3,
        repeat: int = 12,
        limit: int | str = 1024,
    ):
        _check(warmup, repeat)
        self._warmup, self._repeat = warmup, repeat
        self._limit = units.parse_size(limit) if isinstance(limit, str) else limit
        self._func = func
        self._samples: Samples | None = None
        self._marks = 0
        if func is not None:
            functools.update_wrapper(self, func)
            self._call = self._wrap(func)

    # ---- decorator ----

    def __call__(self, *args, **kwargs):
        if self._func is not None:
            return self._call(*args, **kwargs)
        return self._wrap(*args)

    def __get__(self, instance, owner=None):
        if self._func is None or instance is None:
            return self
        return functools.partial(self._call, instance)

    def _wrap(self, func: Callable) -> Callable:
        warmup, repeat = self._warmup, self._repeat
        if inspect.iscoroutinefunction(func):

            @functools.wraps(func)
            async def repeated_coroutine(*args, **kwargs):
                samples = Samples()
                samples.begin()
                try:
                    result = None
                    for turn in range(warmup + repeat):
                        del result
                        result = await func(*args, **kwargs)
                        if turn >= warmup - 1:
                            samples.take()
                    fail(samples.report(grows))
                    return result
                finally:
                    samples.end()

            return repeated_coroutine

        @functools.wraps(func)
        def repeated(*args, **kwargs):
            results = []

            def call():
                results[:] = [func(*args, **kwargs)]

            fail(find_leaks(call, warmup=warmup, repeat=repeat))
            return results[0]

        return repeated

    # ---- context manager ----

    def __enter__(self) -> assert_no_leaks:
        self._marks = 0
        self._samples = Samples()
        self._samples.begin()
        self._samples.take()
        return self

    def mark(self) -> None:
        """One turn of a loop in the block is over."""
        if self._samples is not None:
            self._marks += 1
            self._samples.take()

    def __exit__(self, kind, error, traceback) -> None:
        samples, self._samples = self._samples, None
        try:
            if kind is not None:
                return
            if self._marks >= 5:
                del samples._rows[: 1 + self._marks // 5]  # they warm up
                fail(samples.report(grows))
                return
            samples.take()
            limit = self._limit
            fail(samples.report(lambda values: values[-1] - values[0] > limit, "block"))
        finally:
            samples.end()
