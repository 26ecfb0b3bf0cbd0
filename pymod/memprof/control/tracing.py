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
from ..model.frames import Traceback
from ..model.snapshot import Snapshot
from ..quiet import OWN_FOLDER, quiet
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


class _State:
    """What this process knows of its trace. Changed with the GIL, in the functions below only."""

    __slots__ = (
        "first_output",
        "has_anchor",
        "holders",
        "is_borrowed",
        "is_registered",
        "options",
        "whole_holders",
    )

    def __init__(self):
        self.options: Options | None = None  # of the trace under way
        self.first_output: str | None = None  # of the process that began it, not of a forked child
        self.holders = 0  # line profilers that need the trace
        self.whole_holders = 0  # those of them that need all of it
        self.is_borrowed = False  # it is there for them only, without stacks: nobody else sees it
        self.is_registered = False  # what is to be called at a fork and at the end
        self.has_anchor = False  # with multiprocessing, here or where this was forked from

    def note(self, core: _core.Snapshot) -> _core.Snapshot:
        """With the note of the trace."""
        if self.options is not None:
            core.set_note(self.options.note())
        return core


_state = _State()


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
    if not checkpoint > 0:
        raise ValueError(f"checkpoint must be more than 0 seconds, not {checkpoint!r}")
    if every < 0:
        raise ValueError(f"every must be 0 or more units of work, not {every!r}")
    path = os.path.abspath(os.fspath(output)) if output is not None else None
    options = Options(series, path, checkpoint, every, free_lists, dict(notes or {}))
    if is_tracing():
        running = _state.options
        if running is not None and running.differs(options):
            raise RuntimeError(
                f"memprof is tracing already, with other options ({running}); call stop() first"
            )
        return
    _register()
    with quiet:
        try:
            _begin(options)
        except BaseException:
            stop()
            raise


def _begin(options: Options) -> None:
    if options.free_lists:
        _core.restamp(True)
    _core.start()
    # Blocks of a borrowed trace have no stacks; where it was paused some frees were not seen.
    if not _core.see_all(True) or (_state.is_borrowed and _state.whole_holders == 0):
        _core.clear()
    _core.leave_out_stacks(False)
    _state.is_borrowed = False
    _state.options = options
    marks.begin(options.every if options.series else 0)
    _state.first_output = options.output
    if options.output is not None:
        save(options.output)  # fails now rather than in ten seconds
    _start_timeline()


def stop() -> None:
    """End the trace and forget all of it. Without effect when not tracing.

    Where another tool has put its own hooks in front of ours in the meantime, ours stay in
    the chain and only pass calls on.
    """
    _core.timeline_stop()
    _core.restamp(False)
    marks.begin(0)
    _state.options = None
    _state.is_borrowed = _state.holders > 0
    _core.leave_out_stacks(_state.is_borrowed)
    if _state.is_borrowed:
        _core.see_all(_state.whole_holders > 0)
    else:
        _core.start_on_demand(False)
        _core.stop()


def hold(whole: bool = False) -> None:
    """Let the core trace, for a line profiler: from the first call of one of its functions on and
    while one runs, or at once and all the time (``whole``); without stacks unless somebody has
    called start() or will. To be followed by let_go()."""
    if _state.holders == 0 and (_state.is_borrowed or not _core.is_tracing()):
        _register()
        _core.leave_out_stacks(True)
        _core.see_all(False)
        _core.start_on_demand(True)
        _state.is_borrowed = True
    if whole:
        _state.whole_holders += 1
        _core.start()
        _core.see_all(True)
        if _state.holders == 0 and _state.is_borrowed:
            _core.clear()  # what an earlier holder left, where no calls are passed over too
    _state.holders += 1


def is_borrowed() -> bool:
    """The trace is there only because somebody holds it."""
    return _state.is_borrowed


def let_go(whole: bool = False, keep: bool = False) -> None:
    """The end of hold(). After the last one everything is as it was before, or ``keep``: the core
    goes on, paused, for somebody who is likely to come back soon."""
    _state.holders -= 1
    _state.whole_holders -= whole
    if _state.is_borrowed and whole and _state.whole_holders == 0:
        _core.see_all(False)
    if _state.holders == 0 and not keep:
        _core.start_on_demand(False)
        if _state.is_borrowed:
            _state.is_borrowed = False
            _core.stop()
            _core.leave_out_stacks(False)


def under_way() -> Options | None:
    """Options of the trace that start() began, an object of its own for each trace, or None."""
    return _state.options


def is_tracing() -> bool:
    """True between start() and stop()."""
    return _core.is_tracing() and not _state.is_borrowed


def clear() -> None:
    """Forget all blocks and numbers, and go on tracing."""
    ran = _core.timeline_stop()
    _core.clear()
    if ran:
        _start_timeline()


def get_traced_memory() -> tuple[int, int]:
    """(current, peak) bytes of traced blocks; (0, 0) when not tracing."""
    return (0, 0) if _state.is_borrowed else _core.get_traced()


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
    if _state.is_borrowed:
        raise RuntimeError("memprof is not tracing")
    with quiet:
        core = _state.note(_core.take_snapshot(False))
        snapshot = Snapshot(core, _count_types() if types else None)
    warn_when_unhooked()
    return snapshot


def _count_types() -> list[tuple]:
    """[(frames, type name, objects)] of all traced objects."""
    core = _core.heap(OWN_FOLDER)
    everything, rows = core.all(), []
    for key, name, _, _ in core.partition(everything, "type"):
        of_type = core.pick(everything, "type", key)
        rows += [
            (frames, name, objects)
            for _, frames, objects, _ in core.partition(of_type, "site")
            if frames is not None
        ]
    return rows


def warn_when_unhooked() -> None:
    """RuntimeWarning for the caller's caller."""
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
    return Snapshot(_state.note(_core.take_snapshot(True)))


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
    options = _state.options
    if options is not None and (options.series or options.output):
        _core.timeline_start(
            options.series and not options.every,
            options.output,
            options.checkpoint,
            options.note(),
        )


def _register() -> None:
    """Once per process."""
    if not _state.is_registered:
        _state.is_registered = True
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
    _core.count_meters()
    options = _state.options
    if options is None or not _core.is_tracing():
        return
    if options.output is not None:
        _state.options = options._replace(output=f"{_state.first_output}.{os.getpid()}")
        _write_at_end_of_multiprocessing_child()
    if _core.timeline_stop():  # it was running, in the parent
        _start_timeline()


def save_output() -> None:
    """Write the profile of now to the trace's output, if it has one."""
    options = _state.options
    if options is not None and options.output is not None and _core.is_tracing():
        try:
            save(options.output)
        except OSError:
            pass  # nobody to tell: the child's own exit must not change


class _Anchor:
    """multiprocessing calls what is registered for an object while it is alive."""


_anchor = _Anchor()


def _write_at_end_of_multiprocessing_child() -> None:
    """A child of multiprocessing ends with os._exit; its finalizers are the last to run."""
    util = sys.modules.get("multiprocessing.util")
    if util is not None and not _state.has_anchor:
        _state.has_anchor = True
        util.register_after_fork(
            _anchor, lambda _: util.Finalize(None, save_output, exitpriority=-1000)
        )
