"""What memory_profiler's backends measure."""

from __future__ import annotations

_METRICS = {"psutil": 0, "posix": 0, "tracemalloc": 0, "psutil_pss": 1, "psutil_uss": 2}
BACKENDS = tuple(_METRICS)


def metric_of(backend: str) -> int:
    """The core's number for what a backend of memory_profiler measures."""
    return _METRICS[backend]


def choose_backend(new_backend: str | None = None) -> str:
    """The name itself; all of memory_profiler's are available here. KeyError for others.

    ``psutil`` and ``posix`` are resident memory, ``psutil_pss`` and ``psutil_uss`` the
    proportional and the unshared part of it, ``tracemalloc`` is traced memory.
    """
    backend = "psutil" if new_backend is None else new_backend
    metric_of(backend)
    return backend
