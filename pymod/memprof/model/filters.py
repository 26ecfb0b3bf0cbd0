"""Filters of snapshots: by file, line, function and domain, as in tracemalloc."""

from __future__ import annotations

import os
from collections.abc import Iterable

# enum mp_kind in lib/tables/depot.h
_KINDS = {"raw": 0, "mem": 1, "obj": 2}
_TRACKED = 3
_LARGEST_DOMAIN = 2**32 - 1  # unsigned int of memprof_track


def _normalize(filename: str) -> str:
    filename = os.path.normcase(filename)
    return filename.removesuffix("c") if filename.endswith(".pyc") else filename


def _domain(domain: int | str | None) -> tuple[int, int]:
    """(kinds, number) as _core.Snapshot.match takes them."""
    if domain is None:
        return 0, -1
    if isinstance(domain, str):
        known = domain in _KINDS
    elif isinstance(domain, int):
        known = 0 <= domain <= _LARGEST_DOMAIN
    else:
        raise TypeError(f"a domain is a number or a name, not {type(domain).__name__}")
    if not known:
        raise ValueError(f"unknown domain: {domain!r} (raw, mem, obj or a number)")
    if isinstance(domain, str):
        return 1 << _KINDS[domain], -1
    return (0, 0) if domain == 0 else (1 << _TRACKED, domain)


class BaseFilter:
    """``inclusive`` filters say what is kept, exclusive ones what is dropped."""

    def __init__(self, inclusive: bool, domain: int | str | None = None):
        _domain(domain)
        self.inclusive = inclusive
        self.domain = domain

    all_frames = False

    def _locations(self, core) -> bytes | None:
        """By location id 1 where it matches, or None when every one does."""
        return None

    def _match(self, core) -> bytearray:
        rows = bytearray(core.length())
        core.match(rows, self.all_frames, self._locations(core), *_domain(self.domain))
        return rows


class Filter(BaseFilter):
    """By file name pattern (fnmatch), line number, function name pattern and domain.

    A pattern ending in ``.pyc`` stands for the ``.py`` file. ``all_frames`` looks at every
    frame of the stack, otherwise only at the most recent one. ``domain`` is ``"raw"``,
    ``"mem"``, ``"obj"``, or the number of a tracked domain; 0 stands for all of Python's own.
    """

    def __init__(
        self,
        inclusive: bool,
        filename_pattern: str = "*",
        lineno: int | None = None,
        all_frames: bool = False,
        domain: int | str | None = None,
        *,
        function: str | None = None,
    ):
        super().__init__(inclusive, domain)
        self.filename_pattern = _normalize(filename_pattern)
        self.lineno = lineno
        self.all_frames = all_frames
        self.function = function

    def _locations(self, core) -> bytes:
        from fnmatch import fnmatchcase

        def matches(filename: str, lineno: int, function: str, *_) -> bool:
            return (
                fnmatchcase(_normalize(filename), self.filename_pattern)
                and (self.lineno is None or lineno == self.lineno)
                and (self.function is None or fnmatchcase(function, self.function))
            )

        return bytes(matches(*location) for location in core.locations())


class DomainFilter(BaseFilter):
    """By domain alone; see Filter."""

    def __init__(self, inclusive: bool, domain: int | str):
        super().__init__(inclusive, domain)


def apply_filters(core, filters: Iterable[BaseFilter]):
    """The _core.Snapshot of the rows that the filters let through."""
    filters = list(filters)
    for item in filters:
        if not isinstance(item, BaseFilter):
            raise TypeError(f"not a filter: {item!r}")
    inclusive = [item._match(core) for item in filters if item.inclusive]
    exclusive = [item._match(core) for item in filters if not item.inclusive]
    keep = bytearray(
        (not inclusive or any(mask[i] for mask in inclusive))
        and not any(mask[i] for mask in exclusive)
        for i in range(core.length())
    )
    return core.keep(keep)
