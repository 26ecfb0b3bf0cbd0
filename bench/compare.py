"""What changed between two runs of bench/run.py, as far as it is more than the noise.

    python bench/compare.py OLD.json NEW.json [--tool memprof] [--all]

A ratio is flagged when it differs by more than the spreads of both runs together and by more than
two per cent; so are the other costs. Exit status 1 when something became worse, 2 when the
files do not belong together.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LEAST = 0.02  # a smaller change is not worth a line


@dataclass
class Change:
    """One number of both runs. `more` is better for rates, worse for all others."""

    what: str
    old: float
    new: float
    spread: float
    more_is_better: bool = False

    @property
    def difference(self) -> float:
        return self.new - self.old

    def matters(self) -> bool:
        return abs(self.difference) > self.spread and abs(self.difference) > LEAST * abs(self.old)

    def is_worse(self) -> bool:
        return self.matters() and (self.difference < 0) == self.more_is_better

    def __str__(self) -> str:
        verdict = "same" if not self.matters() else "WORSE" if self.is_worse() else "better"
        return (
            f"{verdict:6} {self.what:44} {self.old:11.4g} -> {self.new:11.4g}  "
            f"{self.difference / self.old:+7.1%}  (spread {self.spread / abs(self.old):.1%})"
        )


def ratios(old: dict, new: dict, tool: str) -> Iterator[Change]:
    before, after = (one.get("overhead", {}).get("benchmarks", {}) for one in (old, new))
    for name in before.keys() & after.keys():
        a, b = (one[name]["ratios"].get(tool) for one in (before, after))
        if a and b:
            yield Change(f"{name}, slowdown", a["ratio"], b["ratio"], a["spread"] + b["spread"])


def summaries(old: object, new: object, path: str = "") -> Iterator[Change]:
    """Everything with a median and a spread, wherever it is in the costs."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return
    if "median" in old and "median" in new:
        yield Change(
            path,
            old["median"],
            new["median"],
            old["spread"] + new["spread"],
            more_is_better=path.startswith("threads"),
        )
        return
    for key in old.keys() & new.keys():
        yield from summaries(old[key], new[key], f"{path}, {key}" if path else key)


def sizes(old: dict, new: dict, tool: str) -> Iterator[Change]:
    """Peak RSS against the bare interpreter, and profile files: within 1 % in each run."""
    before, after = (one["costs"].get("memory", {}) for one in (old, new))
    for count in before.keys() & after.keys():
        for kind in before[count].keys() & after[count].keys():
            a, b = before[count][kind], after[count][kind]
            if tool in a and tool in b:
                was, now = a[tool] / a["bare"], b[tool] / b["bare"]
                yield Change(f"memory, {count} {kind}", was, now, 0.01 * was)


def changes(old: dict, new: dict, tool: str) -> list[Change]:
    costs = [
        change
        for change in summaries(old["costs"], new["costs"])
        if any(part in (tool, f"{tool} -q") for part in change.what.split(", "))
    ]
    found = [*ratios(old, new, tool), *sizes(old, new, tool), *costs]
    return sorted(found, key=lambda change: change.what)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--tool", default="memprof")
    parser.add_argument("--all", action="store_true", help="show what did not change as well")
    settings = parser.parse_args()
    try:
        old, new = (json.loads(path.read_text()) for path in (settings.old, settings.new))
        machines = [one["where"]["machine"] for one in (old, new)]
        found = changes(old, new, settings.tool)
    except (OSError, ValueError, KeyError) as error:
        print(f"compare: not a pair of results of bench/run.py: {error!r}", file=sys.stderr)
        return 2
    if not found:
        print("compare: the two runs have nothing in common", file=sys.stderr)
        return 2
    if machines[0] != machines[1]:
        print(f"compare: different machines: {machines[0]} and {machines[1]}")
    for change in found:
        if settings.all or change.matters():
            print(change)
    worse = sum(change.is_worse() for change in found)
    print(
        f"{len(found)} numbers compared, {worse} worse, "
        f"{sum(change.matters() for change in found) - worse} better, beyond the spread"
    )
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
