"""Memory that a trace costs, with many small objects live: peak RSS against the bare run.

    python bench/memory.py [--objects 2000000]
"""

from __future__ import annotations

import argparse
import subprocess
import sys

PROGRAM = """
import resource, sys
class Point:
    __slots__ = ("x", "y", "z")
    def __init__(self, i):
        self.x = i; self.y = None; self.z = i + 1
kind, count = sys.argv[1], int(sys.argv[2])
make = {
    "integers": lambda i: i + 1000,
    "strings": str,
    "tuples": lambda i: (i, i + 1),
    "objects with slots": Point,
    "dicts": lambda i: {"a": i},
}[kind]
objects = [make(i) for i in range(count)]
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""

KINDS = ("integers", "strings", "tuples", "objects with slots", "dicts")
TOOLS = {
    "bare": [],
    "memprof": ["-m", "memprof", "-q"],
    "tracemalloc-1": ["-X", "tracemalloc=1"],
}


def peak_rss(tool: str, kind: str, count: int) -> int:
    command = [sys.executable, *TOOLS[tool], "-c", PROGRAM, kind, str(count)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", type=int, default=2_000_000)
    count = parser.parse_args().objects
    print(f"| {count:,} live | bare | memprof | tracemalloc, 1 frame |\n|---|---|---|---|")
    for kind in KINDS:
        bare, *others = (peak_rss(tool, kind, count) for tool in TOOLS)
        cells = " | ".join(f"{other / bare:.2f}×" for other in others)
        print(f"| {kind} | {bare / 2**20:.0f} MiB | {cells} |")


if __name__ == "__main__":
    main()
