"""What a run of tests says of itself: how many passed, and which did not."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PYTEST_COUNT = re.compile(r"(\d+) (passed|failed|errors?|skipped|xfailed|xpassed|deselected)")
_PYTEST_LAST = re.compile(r" in \d+(\.\d+)?s\b")
_PYTEST_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S.*?)(?: - .*)?$", re.MULTILINE)
_UNITTEST_RAN = re.compile(r"^Ran (\d+) tests? in", re.MULTILINE)
_UNITTEST_LAST = re.compile(r"^(?:OK|FAILED)(?: \((.*)\))?$", re.MULTILINE)
_UNITTEST_COUNT = re.compile(r"([a-z][a-z ]*)=(\d+)")
_UNITTEST_FAILED = re.compile(r"^(?:FAIL|ERROR): (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Outcome:
    """Two runs did the same when their outcomes are equal."""

    counts: tuple[tuple[str, int], ...]
    """(passed, skipped and so on, number), sorted."""
    failed: tuple[str, ...]
    """Names of tests, sorted."""

    @property
    def passed(self) -> int:
        return dict(self.counts).get("passed", 0)

    def __str__(self) -> str:
        return ", ".join(f"{number} {what}" for what, number in self.counts)


def read(output: str) -> Outcome | None:
    """Of what pytest or unittest printed; None when it did not come to its end."""
    return _of_pytest(output) or _of_unittest(output)


def difference(one: Outcome, bare: Outcome) -> str:
    """In words; empty when there is none."""
    if one == bare:
        return ""
    words = [f"{one} instead of {bare}"] if one.counts != bare.counts else []
    words += [f"{name} fails" for name in sorted({*one.failed} - {*bare.failed})]
    words += [f"{name} does not fail" for name in sorted({*bare.failed} - {*one.failed})]
    return "; ".join(words)


def _of_pytest(output: str) -> Outcome | None:
    for line in reversed(output.splitlines()):
        found = _PYTEST_COUNT.findall(line) if _PYTEST_LAST.search(line) else []
        if found:
            counts = sorted(
                (what.removesuffix("s") if what == "errors" else what, int(number))
                for number, what in found
            )
            return Outcome(tuple(counts), _names(_PYTEST_FAILED, output))
    return None


def _of_unittest(output: str) -> Outcome | None:
    ran, last = _UNITTEST_RAN.search(output), _UNITTEST_LAST.search(output)
    if not (ran and last):
        return None
    counts = {what: int(number) for what, number in _UNITTEST_COUNT.findall(last[1] or "")}
    counts["passed"] = int(ran[1]) - sum(counts.values())
    return Outcome(tuple(sorted(counts.items())), _names(_UNITTEST_FAILED, output))


def _names(pattern: re.Pattern, output: str) -> tuple[str, ...]:
    return tuple(sorted(set(pattern.findall(output))))
