"""Slowdown of memory profilers on pyperformance's benchmarks, all in one run.

    python bench/overhead.py [--python PYTHON] [--benchmarks json_loads,...] [--rounds 3]

Method (bench/README.md): the benchmark scripts of the installed PyPI package
``pyperformance``, through pyperf's own interface (--worker). The number of loops is found on
the bare interpreter and repeated exactly under each tool; tools take turns within a round, so
that a drift of the machine hits all of them; the result is the ratio of medians. Prints a
table, and writes JSON with all values where --output says.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

TOOLS = {
    "bare": [],
    "memprof": ["-m", "memprof", "-q"],
    "tracemalloc-1": ["-X", "tracemalloc=1"],
    "tracemalloc-25": ["-X", "tracemalloc=25"],
    "memray": ["-m", "memray", "run", "-qfo", "/dev/null"],
    "memray-all": ["-m", "memray", "run", "--trace-python-allocators", "-qfo", "/dev/null"],
}

# Where a benchmark is not simply bm_NAME: its folder and arguments.
SPECIAL = {
    "async_tree": ("async_tree", ["none"]),
    "logging": ("logging", []),
    "pickle_pure_python": ("pickle", ["--pure-python", "pickle"]),
    "sqlglot": ("sqlglot_v2", ["normalize"]),
    "sympy": ("sympy", ["sum"]),
    "xml_etree": ("xml_etree", []),
}

ALL = (
    "async_tree barnes_hut btree chaos comprehensions coroutines deepcopy deltablue float "
    "generators go hexiom json_dumps json_loads logging mdp nbody nqueens pathlib "
    "pickle_pure_python pprint pyflate raytrace regex_compile richards sqlglot sqlite_synth "
    "sympy telco tomli_loads unpack_sequence xml_etree"
).split()
SHORT = ["json_loads", "deepcopy", "float", "xml_etree"]

TARGET_SECONDS = 0.25  # of one value on the bare interpreter


class Failed(Exception):
    """A benchmark does not run; the message is the end of its output."""


def folder_of(python: str) -> Path:
    code = "import pyperformance, os; print(os.path.dirname(pyperformance.__file__))"
    found = subprocess.run([python, "-c", code], capture_output=True, text=True)
    if found.returncode:
        sys.exit(f"overhead: {python} has no pyperformance (pip install pyperformance pyperf)")
    return Path(found.stdout.strip()) / "data-files" / "benchmarks"


class Benchmark:
    """One benchmark script under one interpreter."""

    def __init__(self, name: str, python: str, benchmarks: Path):
        folder, self.arguments = SPECIAL.get(name, (name, []))
        self.name = name
        self.python = python
        self.script = benchmarks / f"bm_{folder}" / "run_benchmark.py"
        self.loops = 1

    def install(self) -> None:
        """Its dependencies, at the versions that it pins."""
        if not self.script.exists():
            raise Failed(f"no such benchmark in this pyperformance: {self.script.parent.name}")
        pinned = self.script.with_name("requirements.txt")
        project = tomllib.loads(self.script.with_name("pyproject.toml").read_text())
        needed = [d for d in project["project"].get("dependencies", []) if d != "pyperf"]
        if needed:
            what = ["-r", str(pinned)] if pinned.exists() else needed
            command = [self.python, "-m", "pip", "install", "-q", *what]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise Failed(done.stderr.strip()[-200:])

    def measure(self, tool: str, values: int, warmups: int = 1) -> list[float]:
        """Seconds of each value, the script's benchmarks summed."""
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "out.json"
            command = [
                self.python, *TOOLS[tool], str(self.script), *self.arguments, "--worker",
                f"-l{self.loops}", f"-w{warmups}", f"-n{values}", "-o", str(output),
            ]  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
            if done.returncode or not output.exists():
                raise Failed((done.stderr or done.stdout).strip()[-300:])
            document = json.loads(output.read_text())
        runs = [[value * self.loops * _inner_loops(document, bench)
                 for value in bench["runs"][0]["values"]]
                for bench in document["benchmarks"]]  # fmt: skip
        return [sum(values) for values in zip(*runs)]

    def calibrate(self) -> None:
        while self.loops < 1 << 20 and (once := self.measure("bare", 1, 0)[0]) < TARGET_SECONDS:
            self.loops = max(self.loops * 2, int(self.loops * TARGET_SECONDS / max(once, 1e-9)))


def _inner_loops(document: dict, bench: dict) -> int:
    """pyperf's values are seconds of one of these."""
    own = bench.get("metadata", {}).get("inner_loops")
    return own or document.get("metadata", {}).get("inner_loops", 1)


def run_one(benchmark: Benchmark, tools: list[str], rounds: int, values: int) -> dict:
    benchmark.install()
    benchmark.calibrate()
    seconds: dict[str, list[float]] = {tool: [] for tool in tools}
    failures = {}
    for _ in range(rounds):
        for tool in [tool for tool in tools if tool not in failures]:
            try:
                seconds[tool] += benchmark.measure(tool, values)
            except Failed as error:
                failures[tool] = str(error)
    bare = statistics.median(seconds["bare"])
    ratios = {
        tool: statistics.median(times) / bare
        for tool, times in seconds.items()
        if tool not in failures and tool != "bare"
    }
    return {
        "loops": benchmark.loops,
        "seconds": seconds,
        "ratios": ratios,
        "failures": failures,
        "spread": (max(seconds["bare"]) - min(seconds["bare"])) / bare,
    }


def geomean(ratios: list[float]) -> float:
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def table(results: dict, tools: list[str]) -> str:
    """Markdown: a row for each benchmark, the geometric mean and the worst at the end."""
    shown = [tool for tool in tools if tool != "bare"]
    lines = [
        "| benchmark | " + " | ".join(shown) + " |",
        "|---|" + "---|" * len(shown),
    ]
    for name, result in results.items():
        cells = [f"{result['ratios'][tool]:.2f}" if tool in result["ratios"] else "failed"
                 for tool in shown]  # fmt: skip
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    for title, reduce in (("geometric mean", geomean), ("worst", max)):
        columns = [[r["ratios"][tool] for r in results.values() if tool in r["ratios"]]
                   for tool in shown]  # fmt: skip
        cells = [f"**{reduce(column):.2f}**" if column else "" for column in columns]
        lines.append(f"| **{title}** | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", default=sys.executable, help="with pyperformance and memprof")
    parser.add_argument("--benchmarks", default=",".join(SHORT), help="names, or 'all'")
    parser.add_argument("--tools", default="bare,memprof,tracemalloc-1")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--values", type=int, default=3, help="values per process")
    parser.add_argument("--output", metavar="FILE", help="all values as JSON")
    settings = parser.parse_args()

    names = ALL if settings.benchmarks == "all" else settings.benchmarks.split(",")
    tools = settings.tools.split(",")
    benchmarks = folder_of(settings.python)
    results = {}
    for name in names:
        print(f"{name} ...", file=sys.stderr, end=" ", flush=True)
        try:
            result = run_one(
                Benchmark(name, settings.python, benchmarks), tools, settings.rounds,
                settings.values,
            )  # fmt: skip
        except Failed as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        results[name] = result
        ratios = ", ".join(f"{tool} {ratio:.2f}" for tool, ratio in result["ratios"].items())
        print(f"{ratios} (spread of bare {result['spread']:.0%})", file=sys.stderr)
    versions = {"python": sys.version.split()[0], "machine": os.uname().machine}
    for package in ("pyperformance", "pyperf", "memray", "memprof-tracer"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            pass
    print(table(results, tools))
    if settings.output:
        document = {"versions": versions, "results": results}
        Path(settings.output).write_text(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
