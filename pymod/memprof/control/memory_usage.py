"""Memory over time of a process or of a call, with memory_profiler's names and shapes.

All amounts are MiB (2**20 bytes), all times seconds since the epoch. Memory is read by a thread
of the core that needs no GIL; there is no helper process, and nothing is killed.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager

from .. import _core
from ..model.backends import choose_backend, metric_of
from ..model.units import MIB
from ..programs import wrapping
from . import tracing


def _read(pid: int, backend: str, children: bool = False) -> float:
    """MiB now; pid 0 is this process. ProcessLookupError when there is none."""
    if backend == "tracemalloc":
        if pid:
            raise RuntimeError("There is no access to source file of the profiled function")
        return _core.get_traced()[0] / MIB
    now = _core.resident(pid, children, metric_of(backend))
    if now < 0 or (now == 0 and pid):  # it has ended, but nobody has waited for it
        raise ProcessLookupError(f"no process {pid}, or it is not ours to read")
    return now / MIB


def _read_with_time(pid: int, backend: str, children: bool = False) -> tuple[float, float]:
    return _read(pid, backend, children), time.time()


def children_of(pid: int) -> list[int]:
    """Process ids of all descendants, parents first."""
    found, todo = [], [pid]
    while todo:
        parent = todo.pop(0)
        try:
            tasks = f"/proc/{parent}/task"
            texts = [_text(f"{tasks}/{task}/children") for task in os.listdir(tasks)]
        except OSError:  # it has ended
            continue
        below = [int(word) for text in texts for word in text.split()]
        found += below
        todo += below
    return found


def _text(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()


def _children_with_memory(pid: int, backend: str) -> list[tuple[int, float]]:
    result = []
    for child in children_of(pid or os.getpid()):
        try:
            result.append((child, _read(child, backend)))
        except ProcessLookupError:
            pass
    return result


# ---- memory_usage ------------------------------------------------------------------------------


def memory_usage(
    proc=-1,
    interval: float = 0.1,
    timeout: float | None = None,
    timestamps: bool = False,
    include_children: bool = False,
    multiprocess: bool = False,
    max_usage: bool = False,
    retval: bool = False,
    stream=None,
    backend: str | None = None,
    max_iterations: int | None = None,
):
    """Memory of a process or during a call, in MiB.

    ``proc``: a process id (-1: this process), a ``subprocess.Popen``, a callable, or a tuple of a
    function, its arguments and keyword arguments. A function is called exactly once, whatever
    ``max_iterations`` says. ``interval``, ``timeout``: seconds; a process id without timeout is
    read once.

    Returns a list of numbers; of (memory, time) with ``timestamps``; of [memory, children...] with
    ``multiprocess``, for a process; one number with ``max_usage``; (that, result of the call) with
    ``retval``. With ``max_usage`` a call's number is its true peak where the kernel tells it, not
    what was seen at an interval. ``stream``: ``MEM`` and ``CHLD`` records are written to it and
    None is returned. ``backend`` as of choose_backend(); ``tracemalloc`` is traced memory, of a
    call.
    """
    backend = choose_backend(backend)
    options = {"backend": backend, "children": include_children}
    if isinstance(proc, (list, tuple)) or callable(proc):
        call = _as_call(proc)
        result, returned = _measure_call(call, interval, max_usage, **options)
        if not timestamps and stream is None and not max_usage:
            result = [memory for memory, _ in result]
        if stream is not None:
            if not max_usage:
                for sample in result:
                    stream.write(_mem_record(sample))
            return None
        return (result, returned) if retval else result
    reader = _Process(proc, stream, timestamps, multiprocess, max_usage, options)
    return reader.read(interval, timeout)


def _as_call(proc) -> tuple[Callable, tuple, dict]:
    if callable(proc):
        return proc, (), {}
    if not 1 <= len(proc) <= 3:
        raise ValueError("proc is (function, arguments, keyword arguments)")
    function, *rest = proc
    args, kwargs = rest if len(rest) == 2 else (rest[0] if rest else (), {})
    return function, args, kwargs


def _mem_record(sample: tuple[float, float]) -> str:
    return "MEM {:.6f} {:.4f}\n".format(*sample)


def _measure_call(call, interval: float, max_usage: bool, backend: str, children: bool):
    """(samples or maximum, what the call returned)."""
    function, args, kwargs = call
    traced = backend == "tracemalloc"
    resets = max_usage and backend in ("psutil", "posix") and not children
    if traced:
        tracing.hold(whole=True)
    try:
        if traced and tracing.is_borrowed():  # nobody else's peak
            _core.reset_peak()
        has_mark = resets and _core.reset_peak_rss()
        watch = _core.watch_start(interval, children, metric_of(backend), traced)
        try:
            returned = function(*args, **kwargs)
        finally:
            samples = [(size / MIB, when) for size, when in _core.watch_stop(watch)]
        if not max_usage:
            return samples, returned
        most = max(size for size, _ in samples)
        if has_mark:
            most = max(most, _core.peak_rss() / MIB)
        elif traced and tracing.is_borrowed():
            most = max(most, _core.get_traced()[1] / MIB)
        return most, returned
    finally:
        if traced:
            tracing.let_go(whole=True)


class _Process:
    """Reads another process, or this one, again and again."""

    def __init__(self, proc, stream, timestamps, multiprocess, max_usage, options):
        self.popen = proc if isinstance(proc, subprocess.Popen) else None
        pid = self.popen.pid if self.popen is not None else int(proc)
        self.pid = 0 if pid == -1 else pid
        self.stream = stream
        self.timestamps = timestamps or stream is not None
        self.multiprocess = multiprocess
        self.max_usage = max_usage
        self.options = options

    def read(self, interval: float, timeout: float | None):
        times = None
        if timeout is not None:
            times = max(1, int(round(timeout / interval)))
        elif self.popen is None:
            times = 1
        result = -1.0 if self.max_usage else []
        count = 0
        while True:
            count += 1
            try:
                result = self._take(result)
            except ProcessLookupError:
                if self.popen is None and not result:
                    raise
                if self.popen is None or self.popen.poll() is not None:
                    break  # otherwise it has no memory yet
            if self.stream is not None and count % 50 == 0:
                self.stream.flush()  # for tail -f
            if times is not None and count >= times:
                if self.popen is None:
                    time.sleep(interval if times > 1 or timeout is not None else 0)
                break
            if self._wait(interval):
                break
        return None if self.stream is not None else result

    def _wait(self, interval: float) -> bool:
        """True when the process has ended."""
        if self.popen is None:
            time.sleep(interval)
            return False
        try:
            self.popen.wait(interval)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _take(self, result):
        if self.max_usage:
            return max(result, _read(self.pid, **self.options))
        if self.timestamps:
            sample = _read_with_time(self.pid, **self.options)
        else:
            sample = _read(self.pid, **self.options)
        if self.stream is not None:
            self.stream.write(_mem_record(sample))
            self._write_children()
        elif self.multiprocess:
            below = _children_with_memory(self.pid, self.options["backend"])
            result.append([sample, *(memory for _, memory in below)])
        else:
            result.append(sample)
        return result

    def _write_children(self) -> None:
        if self.multiprocess:
            for child, memory in _children_with_memory(self.pid, self.options["backend"]):
                self.stream.write(f"CHLD {child} {memory:.6f} {time.time():.4f}\n")


# ---- when functions began and ended ------------------------------------------------------------


class TimeStamper:
    """A decorator that records when a function ran, and how much memory there was; the ``FUNC``
    records of mprof.

    ``functions``: {function: [[(MiB, time), (MiB, time)], ...]}, ``stack``: {function: [level,
    ...]}.
    """

    def __init__(self, backend: str | None = "psutil", include_children: bool = False):
        self.backend = choose_backend(backend)
        self.include_children = include_children
        self.functions: dict = {}
        self.stack: dict = {}
        self.current_stack_level = -1

    def __call__(self, func=None, precision=None):
        if func is None:
            return lambda function: self(function, precision=precision)
        if not callable(func):
            raise ValueError("Value must be callable")
        self.add_function(func)
        return self.wrap_function(func)

    def add_function(self, func) -> None:
        if func not in self.functions:
            self.functions[func] = []
            self.stack[func] = []

    def wrap_function(self, func):
        return wrapping.wrap(func, lambda: self._running(func))

    def timestamp(self, name: str = "<block>"):
        """A context manager that records a block of code under a name."""

        def block():
            pass

        block.__module__ = ""
        block.__name__ = name
        self.add_function(block)
        return self._running(block)

    @contextmanager
    def _running(self, func):
        self.current_stack_level += 1
        self.stack[func].append(self.current_stack_level)
        stamps = [self._now()]
        self.functions[func].append(stamps)
        try:
            yield
        finally:
            self.current_stack_level -= 1
            stamps.append(self._now())

    def _now(self) -> tuple[float, float]:
        return _read_with_time(0, self.backend, self.include_children)

    def show_results(self, stream=None) -> None:
        """Write a ``FUNC`` record for each call that is over."""
        stream = sys.stdout if stream is None else stream
        for func, calls in self.functions.items():
            name = f"{func.__module__}.{func.__name__}"
            for stamps, level in zip(calls, self.stack[func], strict=True):
                if len(stamps) == 2:
                    (memory0, time0), (memory1, time1) = stamps
                    stream.write(
                        f"FUNC {name} {memory0:.4f} {time0:.4f} {memory1:.4f} {time1:.4f} {level}\n"
                    )


class LogFile:
    """A stream for reports that writes to a logger. ``reportIncrementFlag``: of tables of
    memory_profiler, only the lines whose increment is positive, and the headers."""

    def __init__(self, name: str | None = None, reportIncrementFlag: bool = False):
        self.logger = logging.getLogger(name)
        self.reportIncrementFlag = reportIncrementFlag

    def write(self, msg: str, level: int = logging.INFO) -> None:
        if not self.reportIncrementFlag or self._is_reported(msg):
            self.logger.log(level, msg)

    def _is_reported(self, msg: str) -> bool:
        if "MiB" not in msg:
            return "Filename:" in msg or "Line Contents" in msg
        try:
            return float(msg.split("MiB")[1]) > 0
        except (IndexError, ValueError):  # a line of source that says MiB
            return False

    def flush(self) -> None:
        for handler in self.logger.handlers:
            handler.flush()
