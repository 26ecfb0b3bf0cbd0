"""What a trace costs beside run time: memory, questions, start-up, file size; threads and depth.

Each part is a function of the environment and the settings that returns plain data for the JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from environment import HERE, ROOT, Environment, TooLong, say
from environment import run as execute
from statistic import summary
from tools import AGGREGATED, TOOLS, Tool

PROGRAMS = HERE / "programs"
LIMIT = 900  # seconds for one program
KINDS = ("integers", "strings", "tuples", "objects with slots", "dicts")
MANY_KINDS = ("integers", "tuples")
DEPTHS = (5, 50, 500)
THREADS = (1, 2, 4)


class Failed(Exception):
    """A program did not run; the message is the end of its output."""


def run(environment: Environment, tool: Tool, program: str, *arguments: object) -> dict:
    """Name -> list of the numbers that a program of programs/ printed."""
    with tempfile.TemporaryDirectory() as folder:
        command = tool.command(
            environment.python, str(PROGRAMS / f"{program}.py"), list(map(str, arguments)), folder
        )
        try:
            done = execute(command, folder, LIMIT)
        except TooLong as error:
            raise Failed(f"{tool.name}: {program} {error}") from None
    found: dict[str, list[float]] = defaultdict(list)
    for line in done.stdout.splitlines():
        name, _, value = line.partition(" ")
        try:
            found[name].append(float(value))
        except ValueError:
            continue
    if done.returncode or not found:
        raise Failed(f"{tool.name}: {program} failed: {done.stderr.strip()[-300:]}")
    return found


def installed(environment: Environment, tools: list[Tool]) -> list[Tool]:
    return [tool for tool in tools if not tool.package or environment.add(tool.package)]


# ---- memory ----------------------------------------------------------------------------


def memory(environment: Environment, settings: argparse.Namespace) -> dict:
    """Peak RSS in bytes by number of live objects, kind of object and tool."""
    tools = [TOOLS["bare"], TOOLS["memprof"], TOOLS["tracemalloc-1"], AGGREGATED]
    tools = installed(environment, tools)
    found: dict[str, dict] = {}
    for count, kinds in ((settings.objects, KINDS), (settings.objects * 10, MANY_KINDS)):
        table = found[str(count)] = {}
        for kind in kinds:
            table[kind] = {}
            for tool in tools if count == settings.objects else tools[:3]:
                try:
                    peak = run(environment, tool, "live", kind, count)["peak_rss"][0]
                except Failed as error:
                    say(f"memory: {error}")
                    continue
                table[kind][tool.name] = int(peak)
            say(f"memory: {count:,} {kind}: " + in_words(table[kind]))
    return found


def in_words(peaks: dict[str, int]) -> str:
    bare = peaks.get("bare", 0)
    return ", ".join(
        f"{tool} {peak / bare:.2f}" for tool, peak in peaks.items() if tool != "bare" and bare
    )


# ---- questions -------------------------------------------------------------------------------


def questions(environment: Environment, settings: argparse.Namespace) -> dict:
    """Seconds of a snapshot and so on, with settings.blocks live."""
    found: dict[str, object] = {"blocks": settings.blocks}
    for tool, times in (("memprof", 10), ("tracemalloc", 1)):
        lines = run(environment, TOOLS["bare"], "questions", tool, settings.blocks, times)
        found[tool] = {what: summary(values) for what, values in lines.items()}
        say(
            f"questions: {tool}: "
            + ", ".join(
                f"{what} {sum(values) / len(values) * 1000:.1f} ms"
                for what, values in lines.items()
            )
        )
    return found


# ---- start-up ---------------------------------------------------------------------------------


def startup(environment: Environment, settings: argparse.Namespace) -> dict:
    """Seconds of a program that does nothing, with and without memprof; the runs take turns."""
    commands = {"bare": [], "memprof": ["-m", "memprof"], "memprof -q": ["-m", "memprof", "-q"]}
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(settings.starts):
        for name, words in commands.items():
            began = time.perf_counter()
            subprocess.run(
                [environment.python, *words, "-c", "pass"],
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            seconds[name].append(time.perf_counter() - began)
    found = {name: summary(values) for name, values in seconds.items()}
    say("startup: " + ", ".join(f"{k} {v['median'] * 1000:.1f} ms" for k, v in found.items()))
    return found


# ---- profile files -----------------------------------------------------------------------------


def profiles(environment: Environment, settings: argparse.Namespace) -> dict:
    """Bytes of the file that a run leaves, by length of the run and tool."""
    memray = ["-m", "memray", "run", "-qfo"]
    writers = {"memprof": ["-m", "memprof", "-q", "-o"]}
    if environment.add("memray"):
        writers["memray-all"] = [*memray[:3], "--trace-python-allocators", *memray[3:]]
        writers["memray-aggregated"] = [
            *memray[:3],
            "--trace-python-allocators",
            "--aggregate",
            *memray[3:],
        ]
    found: dict[str, dict] = {}
    for loops in (1, 100):
        found[str(loops)] = {}
        for tool, words in writers.items():
            with tempfile.TemporaryDirectory() as folder:
                target = Path(folder) / "profile"
                subprocess.run(
                    [
                        environment.python,
                        *words,
                        str(target),
                        str(PROGRAMS / "stacks.py"),
                        str(loops),
                    ],
                    cwd=folder,
                    capture_output=True,
                    timeout=LIMIT,
                )
                if target.exists():
                    found[str(loops)][tool] = target.stat().st_size
    say(f"profiles: {found}")
    return found


# ---- threads and depth ---------------------------------------------------------------------------


def threads(environment: Environment, settings: argparse.Namespace) -> dict:
    """Blocks per second by number of threads and tool; the runs take turns."""
    how = {"what": "rate", "arguments": THREADS, "loops": settings.loops}
    rates = in_turns(environment, settings, "threads", **how)
    for tool, by_count in rates.items():
        say(
            f"threads: {tool}: "
            + ", ".join(
                f"{count}: {one['median'] / 1e6:.2f} M/s" for count, one in by_count.items()
            )
        )
    return rates


def depth(environment: Environment, settings: argparse.Namespace) -> dict:
    """Seconds per block by depth of the call stack and tool; the runs take turns."""
    how = {"what": "block", "arguments": DEPTHS, "loops": settings.loops // 4}
    found = in_turns(environment, settings, "depth", **how)
    for tool, by_depth in found.items():
        say(
            f"depth: {tool}: "
            + ", ".join(f"{deep}: {one['median'] * 1e9:.0f} ns" for deep, one in by_depth.items())
        )
    return found


def in_turns(
    environment: Environment,
    settings: argparse.Namespace,
    program: str,
    *,
    what: str,
    arguments: tuple[int, ...],
    loops: int,
) -> dict:
    """Tool -> argument -> summary of what a program prints."""
    values: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for _ in range(settings.rounds):
        for argument in arguments:
            for tool in ("bare", "memprof", "tracemalloc-1"):
                values[tool][argument] += run(environment, TOOLS[tool], program, argument, loops)[
                    what
                ]
    return {
        tool: {str(argument): summary(one) for argument, one in by_argument.items()}
        for tool, by_argument in values.items()
    }


def micro(environment: Environment, settings: argparse.Namespace) -> dict:
    """Nanoseconds of single operations of the tables: bench/micro.c, which make bench builds."""
    program = ROOT / "build" / "bench" / "micro"
    if not program.exists():
        raise Failed("build/bench/micro is not built (make bench-micro)")
    done = subprocess.run([program, "--json"], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


PARTS = {
    "memory": memory,
    "questions": questions,
    "startup": startup,
    "profiles": profiles,
    "threads": threads,
    "depth": depth,
    "micro": micro,
}


def measure(environment: Environment, parts: list[str], settings: argparse.Namespace) -> dict:
    """Part -> its data. A part that does not run is left out with one line."""
    found = {}
    for part in parts:
        try:
            found[part] = PARTS[part](environment, settings)
        except (Failed, subprocess.SubprocessError) as error:
            say(f"left out: {part}: {error}")
    return found
