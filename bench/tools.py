"""The profilers that are compared, and how each is started on a script."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tool:
    """`before` goes between the interpreter and the script, `between` between script and arguments.

    {bin} stands for the folder of the environment's commands, {folder} for a scratch folder.
    """

    name: str
    title: str
    before: tuple[str, ...] = ()
    between: tuple[str, ...] = ()
    package: str | None = None  # None: nothing to install
    since: tuple[int, int] = (3, 11)  # the first CPython that has what it needs

    def command(self, python: str, script: str, arguments: list[str], folder: str) -> list[str]:
        fill = {"bin": python.rpartition("/")[0], "folder": folder}
        before = [word.format(**fill) for word in self.before]
        return [python, *before, script, *self.between, *arguments]


TOOLS = {
    tool.name: tool
    for tool in (
        Tool("bare", "no profiler"),
        Tool("memprof", "memprof, exact, full stacks", ("-m", "memprof", "-q")),
        Tool(
            "memprof-free-lists",
            "memprof --free-lists",
            ("-m", "memprof", "-q", "--free-lists"),
            since=(3, 13),
        ),
        Tool("tracemalloc-1", "tracemalloc, 1 frame", ("-X", "tracemalloc=1")),
        Tool("tracemalloc-25", "tracemalloc, 25 frames", ("-X", "tracemalloc=25")),
        Tool("memray", "memray", ("-m", "memray", "run", "-qfo", "/dev/null"), package="memray"),
        Tool(
            "memray-all",
            "memray, Python allocators",
            ("-m", "memray", "run", "--trace-python-allocators", "-qfo", "/dev/null"),
            package="memray",
        ),
        Tool(
            "scalene",
            "Scalene, memory, sampling",
            ("-m", "scalene", "run", "--memory", "--profile-all", "-o", "{folder}/scalene.json"),
            ("---",),
            package="scalene",
        ),
        Tool(
            "fil",
            "Fil, peak",
            ("{bin}/fil-profile", "--no-browser", "-o", "{folder}/fil", "run"),
            package="filprofiler",
        ),
        Tool(
            "memory_profiler",
            "memory_profiler, RSS over time",
            ("{bin}/mprof", "run", "-o", "{folder}/mprof.dat", "--python"),
            package="memory_profiler",
        ),
    )
}

AGGREGATED = Tool(
    "memray-aggregated",
    "memray, Python allocators, aggregated",
    ("-m", "memray", "run", "--trace-python-allocators", "--aggregate", "-qfo", "{folder}/x.bin"),
    package="memray",
)

# Those that run whole test suites; memray writes its file, as people have it do.
REAL = {
    tool.name: tool
    for tool in (
        TOOLS["bare"],
        TOOLS["memprof"],
        Tool("memprof-old", "memprof of another tree", TOOLS["memprof"].before),
        TOOLS["tracemalloc-1"],
        Tool(
            "memray-all",
            TOOLS["memray-all"].title,
            ("-m", "memray", "run", "--trace-python-allocators", "-qfo", "{folder}/memray.bin"),
            package="memray",
        ),
        AGGREGATED,
    )
}


def title(name: str) -> str:
    """What a tool is called in tables and pictures."""
    return (TOOLS.get(name) or REAL[name]).title
