"""Starting, stopping and asking the trace. There is one per process."""

from __future__ import annotations

import atexit
import os
import sys
import warnings
from collections import namedtuple
from collections.abc import Iterator
from contextlib import contextmanager

from .. import _core
from ..model.snapshot import Snapshot, Traceback
from . import marks

_PYTHON = sys.version.split()[0]


class Options(namedtuple("Options", "series output checkpoint every free_lists notes")):
    """What a trace does beside recording.

    ``series``: take checkpoints over time, for leaks. ``output``: path of a profile file that
    is rewritten while the program runs, or None. ``checkpoint``: seconds between two writes.
    ``every``: checkpoints are that many marked units of work apart, 0: they go by time.
    ``free_lists``: objects from CPython's free lists have sites of their own.
    ``notes``: dict of what else the profile tells of its making.
    """

    __slots__ = ()

    def differs(self, wanted: Options) -> bool:
        """Would a trace with the options `wanted` be another one? More exact will do."""
        lacks = wanted.free_lists and not self.free_lists
        return bool(lacks) or self[:4] != wanted[:4]

    def note(self) -> bytes:
        """The profile's note, as lib/profile/PROFILE_FORMAT.md has it."""
        notes = {"python": _PYTHON, "memprof": _core.version} | self.notes
        if self.every:
            notes["unit"] = marks.unit
        lines = (f"{key}={value}".replace("\n", " ") for key, value in notes.items())
        return "\n".join(lines).encode("utf-8", "surrogateescape")


_options: Options | None = None  # of the trace under way
_first_output: str | None = None  # of the process that began it, not of a forked child
_registered = False
_holders = 0  # line profilers that need the trace
_whole_holders = 0  # those of them that need all of it
_is_borrowed = False  # it is there for them only, without stacks, and nobody else sees it
_registered_with_multiprocessing = False  # by this process or one that it was forked from


def start(
    *,
    series: bool = False,
    output: str | os.PathLike | None = None,
    checkpoint: float = 10.0,
    every: int = 0,
    free_lists: bool = False,
    notes: dict[str, str] | None = None,
) -> None:
    """Begin to trace every allocation of this process.

    Blocks that exist already are not traced. ``series`` also records the live numbers over
    time, which find_growth() judges. ``output`` names a profile file that is rewritten
    every ``checkpoint`` seconds, so that a process that is killed leaves one; a forked
    child writes ``output.<pid>``. ``every`` makes the series go by units of work: a
    checkpoint after so many calls of mark().

    CPython makes some objects (floats, tuples, lists, frames) in blocks that older ones have
    left, without asking the allocator: they keep the call stack of the older one. With
    ``free_lists`` each such object counts as a free and an allocation at its own call stack,
    as in tracemalloc. CPython tells of them from 3.13 on, and it costs on every object:
    RuntimeError on an older one.

    While tracing, start() with the same options does nothing and with others raises
    RuntimeError, as where no thread can be started for checkpoints. ValueError for a
    checkpoint of zero or less, OSError when ``output`` cannot be written.
    """
    global _options, _first_output, _is_borrowed
    if not checkpoint > 0:
        raise ValueError(f"checkpoint must be more than 0 seconds, not {checkpoint!r}")
    if every < 0:
        raise ValueError(f"every must be 0 or more units of work, not {every!r}")
    path = os.path.abspath(os.fspath(output)) if output is not None else None
    options = Options(series, path, checkpoint, every, free_lists, dict(notes or {}))
    if is_tracing():
        if _options is not None and _options.differs(options):
            raise RuntimeError(
                f"memprof is tracing already, with other options ({_options}); call stop() first"
            )
        return
    _register()
    before = _core.quiet(True)
    try:
        if free_lists:
            _core.restamp(True)
        _core.start()
        if not _core.see_all(True):
            _core.clear()
        _core.leave_out_stacks(False)
        _is_borrowed = False
        _options = options
        marks.begin(every if series else 0)
        _first_output = path
        if path is not None:
            save(path)  # fails now rather than in ten seconds
        _start_timeline()
    except BaseException:
        stop()
        raise
    finally:
        _core.quiet(before)


def stop() -> None:
    """End the trace and forget all of it. Without effect when not tracing.

    Where another tool has put its own hooks in front of ours in the meantime, ours stay in
    the chain and only pass calls on.
    """
    global _options, _is_borrowed
    _core.timeline_stop()
    _core.restamp(False)
    marks.begin(0)
    _options = None
    _is_borrowed = _holders > 0
    _core.leave_out_stacks(_is_borrowed)
    if _is_borrowed:
        _core.see_all(_whole_holders > 0)
    else:
        _core.start_on_demand(False)
        _core.stop()


def hold(whole: bool = False) -> None:
    """Let the core trace, for a line profiler: from the first call of one of its functions on and
    while one runs, or at once and all the time (``whole``); without stacks unless somebody has
    called start() or will. To be followed by let_go()."""
    global _holders, _whole_holders, _is_borrowed
    if _holders == 0 and (_is_borrowed or not _core.is_tracing()):
        _register()
        _core.leave_out_stacks(True)
        _core.see_all(False)
        _core.start_on_demand(True)
        _is_borrowed = True
    if whole:
        _whole_holders += 1
        _core.start()
        if not _core.see_all(True) and _holders == 0:
            _core.clear()
    _holders += 1


def is_borrowed() -> bool:
    """The trace is there only because somebody holds it."""
    return _is_borrowed


def let_go(whole: bool = False, keep: bool = False) -> None:
    """The end of hold(). After the last one everything is as it was before, or ``keep``: the core
    goes on, paused, for somebody who is likely to come back soon."""
    global _holders, _whole_holders, _is_borrowed
    _holders -= 1
    _whole_holders -= whole
    if _is_borrowed and whole and _whole_holders == 0:
        _core.see_all(False)
    if _holders == 0 and not keep:
        _core.start_on_demand(False)
        if _is_borrowed:
            _is_borrowed = False
            _core.stop()
            _core.leave_out_stacks(False)


def is_tracing() -> bool:
    """True between start() and stop()."""
    return _core.is_tracing() and not _is_borrowed


def clear() -> None:
    """Forget all blocks and numbers, and go on tracing."""
    ran = _core.timeline_stop()
    _core.clear()
    if ran:
        _start_timeline()


def get_traced_memory() -> tuple[int, int]:
    """(current, peak) bytes of traced blocks; (0, 0) when not tracing."""
    return (0, 0) if _is_borrowed else _core.get_traced()


def reset_peak() -> None:
    """Let the peak begin anew at what is live now. Without effect when not tracing."""
    _core.reset_peak()


def get_tracer_memory() -> int:
    """Bytes of memory that memprof itself uses; they are in no other number."""
    return _core.own_memory()


def get_object_traceback(obj: object) -> Traceback | None:
    """Call stack of an object's allocation; None when it was not traced.

    An object that came from one of CPython's free lists has the stack of the block's
    allocation, which an earlier object may have made.
    """
    frames = _core.object_stack(obj)
    return None if frames is None else Traceback(frames)


def take_snapshot(*, types: bool = False) -> Snapshot:
    """Freeze the numbers of now. RuntimeError when not tracing.

    ``types``: also count the objects of each type by call stack, by one pass over the heap,
    for Snapshot.compare_to(); they are not kept in a profile.

    RuntimeWarning when another tool has taken our hooks out (tracemalloc.stop() does when
    tracemalloc was started first): nothing is seen from then on.
    """
    if _is_borrowed:
        raise RuntimeError("memprof is not tracing")
    before = _core.quiet(True)
    try:
        core = _core.take_snapshot(False)
        if _options is not None:
            core.set_note(_options.note())
        snapshot = Snapshot(core, _count_types() if types else None)
    finally:
        _core.quiet(before)
    _warn_when_unhooked()
    return snapshot


def _count_types() -> list[tuple]:
    from .heap import count_types

    return count_types()


def _warn_when_unhooked() -> None:
    if not _core.is_reached():
        warnings.warn(
            "another tool has replaced Python's allocators and with them memprof's hooks "
            "(tracemalloc.stop()?); the numbers end where that happened",
            RuntimeWarning,
            stacklevel=3,
        )


def final_snapshot() -> Snapshot:
    """As take_snapshot(), with the series; the timeline is stopped for good."""
    _core.timeline_stop()
    core = _core.take_snapshot(True)
    if _options is not None:
        core.set_note(_options.note())
    return Snapshot(core)


def snapshot_so_far() -> Snapshot:
    """As final_snapshot(), but the trace goes on."""
    snapshot = final_snapshot()
    _start_timeline()
    return snapshot


def save(path: str) -> None:
    """Write the profile of now."""
    take_snapshot().dump(path)


class Trace:
    """What trace() yields: ``snapshot`` is that of the end of the block, None until then."""

    snapshot: Snapshot | None = None


@contextmanager
def trace(**options) -> Iterator[Trace]:
    """Trace a block of code; options as of start().

    The yielded object's ``snapshot`` is set at the end. When a trace is under way already
    it is used, and goes on afterwards.
    """
    was_tracing = is_tracing()
    result = Trace()
    if options or not was_tracing:
        start(**options)
    try:
        yield result
    finally:
        result.snapshot = take_snapshot()
        if not was_tracing:
            stop()


# ---- the timeline, fork and the end of the process ------------------------------------------


def _start_timeline() -> None:
    if _options is not None and (_options.series or _options.output):
        _core.timeline_start(
            _options.series and not _options.every,
            _options.output,
            _options.checkpoint,
            _options.note(),
        )


def _register() -> None:
    """Once per process."""
    global _registered
    if not _registered:
        _registered = True
        atexit.register(_at_exit)
        os.register_at_fork(
            before=_core.timeline_pause,
            after_in_parent=_core.timeline_resume,
            after_in_child=_after_fork_in_child,
        )


def _at_exit() -> None:
    if _core.shut_down():  # the end of another interpreter than the main one is not ours
        _core.timeline_stop()


def _after_fork_in_child() -> None:
    """The child goes on tracing, and writes a profile of its own."""
    global _options
    _core.count_meters()
    if _options is None or not _core.is_tracing():
        return
    if _options.output is not None:
        _options = _options._replace(output=f"{_first_output}.{os.getpid()}")
        _write_at_end_of_multiprocessing_child()
    if _core.timeline_stop():  # it was running, in the parent
        _start_timeline()


def save_output() -> None:
    """Write the profile of now to the trace's output, if it has one."""
    if _options is not None and _options.output is not None and _core.is_tracing():
        try:
            save(_options.output)
        except OSError:
            pass  # nobody to tell: the child's own exit must not change


class _Anchor:
    """multiprocessing calls what is registered for an object while it is alive."""


_anchor = _Anchor()


def _write_at_end_of_multiprocessing_child() -> None:
    """A child of multiprocessing ends with os._exit; its finalizers are the last to run."""
    global _registered_with_multiprocessing
    util = sys.modules.get("multiprocessing.util")
    if util is not None and not _registered_with_multiprocessing:
        _registered_with_multiprocessing = True
        util.register_after_fork(
            _anchor, lambda _: util.Finalize(None, save_output, exitpriority=-1000)
        )
