"""pyperformance's benchmark scripts: what they are called, their dependencies, one measurement."""

from __future__ import annotations

import json
import tempfile
import time
import tomllib
from pathlib import Path

from environment import Environment, TooLong, run
from tools import TOOLS

# Where a benchmark is not simply bm_NAME without arguments.
SPECIAL = {
    "async_tree": ("async_tree", ["none"]),
    "barnes_hut": ("barnes_hut", []),
    "btree": ("btree", []),
    "pickle_pure_python": ("pickle", ["--pure-python", "pickle"]),
    "sqlglot": ("sqlglot_v2", ["normalize"]),
    "sympy": ("sympy", ["sum"]),
}

ALL = (
    "async_tree barnes_hut btree chaos comprehensions coroutines deepcopy deltablue float "
    "generators go hexiom json_dumps json_loads logging mdp nbody nqueens pathlib "
    "pickle_pure_python pprint pyflate raytrace regex_compile richards sqlglot sqlite_synth "
    "sympy telco tomli_loads unpack_sequence xml_etree"
).split()

MOST_LOOPS = 1 << 22
PATIENCE = 20  # seconds for one process, and beside that
MOST_SLOWDOWN = 100  # times what it takes without a profiler


class Failed(Exception):
    """A benchmark does not run; the message is the end of its output."""


class Benchmark:
    """One benchmark script. All its benchmarks count, as their sum."""

    def __init__(self, name: str, environment: Environment, benchmarks: Path):
        folder, self.arguments = SPECIAL.get(name, (name, []))
        self.name = name
        self.python = environment.python
        self.environment = environment
        self.script = benchmarks / f"bm_{folder}" / "run_benchmark.py"
        self.loops = 1
        self.seconds = 10.0  # of one value on the bare interpreter
        self.start = 0.0  # of a process around it

    def install(self) -> None:
        """Its dependencies, at the versions that it pins."""
        if not self.script.exists():
            raise Failed(f"no such benchmark in this pyperformance: {self.script.parent.name}")
        pinned = self.script.with_name("requirements.txt")
        project = tomllib.loads(self.script.with_name("pyproject.toml").read_text())
        needed = [d for d in project["project"].get("dependencies", []) if d != "pyperf"]
        if not needed:
            return
        what = ["-r", str(pinned)] if pinned.exists() else needed
        if problem := self.environment.pip(*what):
            raise Failed(f"its dependencies do not install: {problem}")

    def measure(self, tool: str, values: int, warmups: int) -> list[float]:
        """Seconds of each value under a tool, in one new process."""
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "out.json"
            arguments = [
                *self.arguments,
                "--worker",
                f"-l{self.loops}",
                f"-w{warmups}",
                f"-n{values}",
                "-o",
                str(output),
            ]
            command = TOOLS[tool].command(self.python, str(self.script), arguments, folder)
            limit = PATIENCE + MOST_SLOWDOWN * (self.start + self.seconds * (values + warmups))
            try:
                done = run(command, folder, limit)
            except TooLong as error:
                raise Failed(str(error)) from None
            if not output.exists():
                raise Failed(_end_of((done.stderr or done.stdout).replace(folder, ".")))
            try:
                document = json.loads(output.read_text())
            except ValueError:
                raise Failed("it did not write its whole result") from None
        runs = [
            [
                value * self.loops * _inner_loops(document, bench)
                for value in bench["runs"][0]["values"]
            ]
            for bench in document["benchmarks"]
        ]
        return [sum(values) for values in zip(*runs, strict=True)]

    def calibrate(self, target: float) -> None:
        """Find the number of loops that takes about `target` seconds on the bare interpreter."""
        while True:
            began = time.monotonic()
            self.seconds = self.measure("bare", 1, 0)[0]
            self.start = max(time.monotonic() - began - self.seconds, 0)
            if self.seconds >= target * 0.7 or self.loops >= MOST_LOOPS:
                return
            wanted = self.loops * target / max(self.seconds, 1e-9)
            self.loops = min(max(self.loops * 2, int(min(wanted, self.loops * 64))), MOST_LOOPS)


def _end_of(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(lines[-2:])[-300:] or "it ended without a result"


def _inner_loops(document: dict, bench: dict) -> int:
    """pyperf's values are seconds of one of these."""
    own = bench.get("metadata", {}).get("inner_loops")
    return own or document.get("metadata", {}).get("inner_loops", 1)
