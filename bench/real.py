"""Real software under memory profilers: test suites and imports that people run, `make bench-real`.

    python bench/real.py                                          # everything: an hour or two
    python bench/real.py --workloads jinja2,sympy --tools bare,memprof --rounds 1
    python bench/real.py --tools bare,memprof --memprof-tree ../other    # two of memprof

memprof is that of this tree, as `make ext` built it. --memprof-tree adds another checkout, built
in the same way, as the tool memprof-old. Results go to the document of bench/run.py, as its part
"real"; workloads that are not measured again stay as they were.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import outcomes
import resources
import software
import tables
from environment import ROOT, Environment, TooLong, cpu_model, say, tag, warn_when_busy
from outcomes import Outcome
from overhead import FAR
from run import OUTPUT, store
from software import WORKLOADS, Ready, Unavailable
from statistic import geomean, ratio
from tools import REAL

WHAT = ("cpu", "wall", "rss")
OLD = "memprof-old"


class Failed(Exception):
    """A run was no measurement; the message says why."""


@dataclass
class Measured:
    """All runs of one workload."""

    ready: Ready
    runs: dict[str, list[resources.Used]] = field(default_factory=lambda: defaultdict(list))
    outcomes: dict[str, list[Outcome]] = field(default_factory=lambda: defaultdict(list))
    failures: dict[str, str] = field(default_factory=dict)

    def run(self, tool: str, trees: dict[str, Path]) -> None:
        """Once more under a tool; one that failed, or is far too slow, is passed over."""
        if tool in self.failures or self.is_far(tool):
            return
        try:
            used, found = run(self.ready, tool, trees.get(tool))
        except Failed as error:
            self.failures[tool] = str(error)
            say(f"{self.ready.workload.name}: {tool} failed: {error}")
            return
        self.runs[tool].append(used)
        self.outcomes[tool].append(found)

    def is_far(self, tool: str) -> bool:
        measured = self.runs.get(tool) and self.runs.get("bare") and not tool.startswith("memprof")
        return bool(measured) and self.ratio(tool, "cpu")["ratio"] > FAR

    def ratio(self, tool: str, what: str) -> dict[str, float]:
        def of(name: str) -> list[list[float]]:
            return [[getattr(used, what)] for used in self.runs[name]]

        return ratio(of(tool), of("bare"))

    def differences(self, tool: str) -> list[str]:
        """What the tests did otherwise than in any run without a profiler."""
        bare = self.outcomes["bare"]
        return sorted(
            {outcomes.difference(one, bare[0]) for one in self.outcomes[tool] if one not in bare}
        )

    def result(self) -> dict:
        tools = [tool for tool in self.runs if self.runs[tool]]
        return {
            "title": self.ready.workload.title,
            "packages": self.ready.packages(),
            "runs": {tool: self.numbers(tool) for tool in tools},
            "ratios": {
                tool: {what: self.ratio(tool, what) for what in WHAT}
                for tool in tools
                if tool != "bare"
            },
            "tests": {tool: str(self.outcomes[tool][0]) for tool in tools},
            "differences": {tool: found for tool in tools if (found := self.differences(tool))},
            "failures": self.failures,
        }

    def numbers(self, tool: str) -> dict[str, list[float]]:
        return {what: [round(getattr(used, what), 3) for used in self.runs[tool]] for what in WHAT}


def run(ready: Ready, tool: str, tree: Path | None) -> tuple[resources.Used, Outcome]:
    """One process; in it all tests of the workload."""
    workload = ready.workload
    with tempfile.TemporaryDirectory() as scratch:
        command = workload.words(REAL[tool], ready.environment.python, scratch)
        variables = ready.variables(scratch, tree / "pymod" if tree else None)
        try:
            used = resources.run(command, str(ready.folder), variables, workload.limit)
        except TooLong as error:
            raise Failed(str(error)) from None
    found = outcomes.read(used.output)
    if found is None or found.passed < workload.tests:
        lines = used.output.replace(str(ROOT), ".").split("\n")
        last = " / ".join(line for line in lines[-6:] if line.strip())[-300:]
        why = f"{found.passed} of {workload.tests} tests pass" if found else "no end of the tests"
        raise Failed(f"{why}, exit status {used.status}: {last}")
    return used, found


# ---- rounds --------------------------------------------------------------------------------


def measure(chosen: list[Ready], tools: list[str], rounds: int, trees: dict[str, Path]) -> dict:
    """Name -> result. What does not run without a profiler is not in it."""
    began = time.monotonic()
    every = []
    for ready in chosen:
        one = Measured(ready)
        one.run("bare", trees)  # compiles to bytecode, and fills the caches of the disk
        one.runs.clear()
        if not one.failures:
            every.append(one)
    for number in range(rounds):
        turn = number % len(tools)
        for one in every:
            for tool in [*tools[turn:], *tools[:turn]]:
                one.run(tool, trees)
            say(f"{time.monotonic() - began:5.0f} s  round {number + 1}/{rounds}  {in_words(one)}")
    return {one.ready.workload.name: one.result() for one in every if one.runs["bare"]}


def in_words(one: Measured) -> str:
    if not one.runs["bare"]:
        return f"{one.ready.workload.name}: nothing without a profiler"
    bare = [statistics.median(getattr(used, what) for used in one.runs["bare"]) for what in WHAT]
    words = [f"bare {bare[0]:.1f} s CPU, {bare[2] / (1 << 20):.0f} MiB"]
    for tool in one.runs:
        if tool != "bare" and one.runs[tool]:
            cpu, peak = (one.ratio(tool, what)["ratio"] for what in ("cpu", "rss"))
            other = ", other outcome" if one.differences(tool) else ""
            words.append(f"{tool} {cpu:.2f} / {peak:.2f}{other}")
    return f"{one.ready.workload.name}: {'; '.join(words)}"


def totals(workloads: dict[str, dict]) -> dict[str, dict]:
    """Tool -> cpu, rss -> geometric mean and worst workload."""
    found: dict[str, dict] = {}
    for tool in REAL:
        ratios = {
            name: one["ratios"][tool] for name, one in workloads.items() if tool in one["ratios"]
        }
        for what in ("cpu", "rss") if ratios else ():
            values = {name: one[what]["ratio"] for name, one in ratios.items()}
            worst = max(values, key=values.__getitem__)
            found.setdefault(tool, {})[what] = {
                "geomean": round(geomean(list(values.values())), 4),
                "worst": values[worst],
                "worst_workload": worst,
                "workloads": len(values),
            }
    return found


# ---- the command ---------------------------------------------------------------------------


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workloads", default="all", help=f"of {', '.join(WORKLOADS)}; or 'all'")
    parser.add_argument("--tools", default="all", help=f"of {', '.join(REAL)}; or 'all'")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--memprof-tree",
        type=Path,
        help="another checkout with its built extension: the tool memprof-old",
    )
    parser.add_argument("--output", type=Path, default=OUTPUT / f"cpython-{tag()}.json")
    settings = parser.parse_args()
    if settings.rounds < 1:
        parser.error("at least one round")
    tools = [tool for tool in REAL if tool != OLD or settings.memprof_tree]
    settings.workloads = chosen(parser, "workload", settings.workloads, list(WORKLOADS))
    settings.tools = chosen(parser, "tool", settings.tools, tools)
    wanted = {"bare", *settings.tools, *([OLD] if settings.memprof_tree else [])}
    settings.tools = [tool for tool in tools if tool in wanted]
    return settings


def chosen(parser: argparse.ArgumentParser, what: str, words: str, known: list[str]) -> list[str]:
    found = known if words == "all" else [word for word in words.split(",") if word]
    if unknown := set(found) - set(known):
        parser.error(f"no such {what}: {', '.join(sorted(unknown))}; of {', '.join(known)}")
    return found


def built(tree: Path, environment: Environment) -> Path:
    """The tree, when its extension is there for this interpreter."""
    done = subprocess.run(
        [environment.python, "-c", "import memprof._core as core; print(core.__file__)"],
        env={**os.environ, "PYTHONPATH": str(tree / "pymod")},
        capture_output=True,
        text=True,
    )
    if done.returncode or not Path(done.stdout.strip()).is_relative_to(tree):
        sys.exit(f"bench: memprof is not built in {tree}: make ext PYTHON={sys.executable} there")
    return tree


def commit(tree: Path) -> str:
    command = ["git", "-C", str(tree), "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def prepare(names: list[str], left_out: dict[str, str]) -> list[Ready]:
    ready = []
    for name in names:
        try:
            ready.append(software.prepare(WORKLOADS[name]))
        except Unavailable as error:
            left_out[name] = str(error)
            say(f"left out: {name}: {error}")
    return ready


def installed(ready: list[Ready], tools: list[str], left_out: dict[str, str]) -> list[str]:
    """The tools that can be had in every environment."""
    found = []
    for tool in tools:
        try:
            for one in ready if REAL[tool].package else ():
                software.install(one.environment, (REAL[tool].package,))
            found.append(tool)
        except Unavailable as error:
            left_out[tool] = str(error)
            say(f"left out: {error}")
    return found


def update(document: dict, part: dict, python: str) -> None:
    """Workloads of an older part stay as they were, when they are of the same interpreter."""
    old = document.get("real", {})
    if old.get("where", {}).get("python") == python:
        part["workloads"] = old["workloads"] | part["workloads"]
    part["totals"] = totals(part["workloads"])
    document["real"] = part
    document.setdefault("where", part["where"] | {"packages": {}, "missing": {}})


def main() -> None:
    settings = options()
    left_out: dict[str, str] = {}
    ready = prepare(settings.workloads, left_out)
    if not ready:
        sys.exit("bench: nothing to run")
    trees = {"memprof": ROOT}
    if settings.memprof_tree:
        trees[OLD] = settings.memprof_tree.resolve()
    trees = {tool: built(tree, ready[0].environment) for tool, tree in trees.items()}
    tools = installed(ready, settings.tools, left_out)
    load = warn_when_busy()
    python = sys.version.split()[0] + ("t" if tag().endswith("t") else "")
    part = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "where": {
            "python": python,
            "compiler": platform.python_compiler(),
            "machine": f"{cpu_model()}, {os.cpu_count()} cores",
            "memprof": {tool: commit(tree) for tool, tree in trees.items()},
            "load": round(load, 1),
        },
        "rounds": settings.rounds,
        "left_out": left_out,
        "workloads": measure(ready, tools, settings.rounds, trees),
    }
    document: dict = {"format": 1, "date": part["date"], "costs": {}}
    if settings.output.exists():
        document = json.loads(settings.output.read_text())
    update(document, part, python)
    store(document, settings.output)
    print(tables.real(document))
    say(f"written: {settings.output}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
