"""The numbers that memprof sets itself, beside what was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tables import milliseconds, table

Row = tuple[str, str, str]


def _versions(document: dict) -> tuple[int, int]:
    major, minor = document["where"]["python"].split(".")[:2]
    return int(major), int(minor)


def _name(document: dict) -> str:
    version = document["where"]["python"]
    return ".".join(version.split(".")[:2]) + ("t" if version.endswith("t") else "")


def _each(documents: list[dict], value: Callable[[dict], str | None]) -> str:
    """`3.13: x, 3.14: y` of the documents that have the number."""
    found = [(document, text) for document in documents if (text := value(document))]
    return ", ".join(f"{_name(document)}: {text}" for document, text in found)


def _totals(document: dict, key: str, tool: str = "memprof") -> float | None:
    return document.get("overhead", {}).get("totals", {}).get(tool, {}).get(key)


def _slowdown(documents: list[dict]) -> Iterator[Row]:
    with_gil = [one for one in documents if not _name(one).endswith("t")]
    older = [one for one in with_gil if _versions(one) <= (3, 14)]
    newer = [one for one in with_gil if _versions(one) > (3, 14)]
    mean = lambda one: f"{value:.2f}" if (value := _totals(one, "geomean")) else None  # noqa: E731
    worst = lambda one: (  # noqa: E731
        f"{value:.2f} ({one['overhead']['totals']['memprof']['worst_benchmark']})"
        if (value := _totals(one, "worst"))
        else None
    )
    yield "slowdown, geometric mean, 3.11 to 3.14", "≤ 1.15", _each(older, mean)
    yield "slowdown, geometric mean, 3.15", "≤ 1.10", _each(newer, mean)
    yield "slowdown, worst benchmark", "≤ 1.7", _each(with_gil, worst)
    lists = lambda one: (  # noqa: E731
        f"{value:.2f}" if (value := _totals(one, "geomean", "memprof-free-lists")) else None
    )
    yield "slowdown with `--free-lists`, geometric mean", "≤ 1.5", _each(with_gil, lists)


def _memory(document: dict) -> str | None:
    part = document["costs"].get("memory")
    if not part:
        return None
    few = next(iter(part.values()))
    ratios = [peaks["memprof"] / peaks["bare"] for peaks in few.values()]
    return f"{min(ratios):.2f} to {max(ratios):.2f}"


def _snapshot(document: dict) -> str | None:
    part = document["costs"].get("questions")
    return milliseconds(part["memprof"]["snapshot"]["median"]) if part else None


def _startup(document: dict) -> str | None:
    part = document["costs"].get("startup")
    return milliseconds(part["memprof"]["median"] - part["bare"]["median"]) if part else None


def _depth(document: dict) -> str | None:
    part = document["costs"].get("depth")
    if not part:
        return None
    extra = {
        deep: part["memprof"][deep]["median"] - part["bare"][deep]["median"]
        for deep in part["bare"]
    }
    a_frame = (extra["500"] - extra["50"]) / 450 * 1e9
    return f"{extra['500'] / extra['5']:.1f}× ({a_frame:.1f} ns a frame)"


def _threads(document: dict) -> str | None:
    part = document["costs"].get("threads")
    if not part or not _name(document).endswith("t"):
        return None
    rates = {
        tool: part[tool]["2"]["median"] / part[tool]["1"]["median"] for tool in ("bare", "memprof")
    }
    return f"{rates['memprof']:.2f}× (no profiler {rates['bare']:.2f}×)"


def targets(documents: list[dict]) -> str:
    """Markdown table: target beside result, for all versions that were measured."""
    rows = [
        *_slowdown(documents),
        (
            "peak resident memory, 2 million small live objects",
            "≤ 1.25×",
            _each(documents, _memory),
        ),
        ("snapshot at 5 million live blocks", "≤ 50 ms", _each(documents, _snapshot)),
        (
            "stack of 500 frames against 5, per allocation",
            "≤ 3× on 3.15, else 1 ns a frame",
            _each(documents, _depth),
        ),
        ("start-up over bare Python", "≤ 60 ms", _each(documents, _startup)),
        ("two threads against one, free-threaded", "≥ 1.8×", _each(documents, _threads)),
    ]
    return table(
        ["", "target", "measured"],
        [[what, target, found or "not measured"] for what, target, found in rows],
    )
