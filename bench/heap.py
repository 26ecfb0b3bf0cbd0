"""The object graph of five million objects: seconds, and scratch memory for each object.

``python bench/heap.py [MILLIONS] [--traced]``, 5 by default. Objects are a mix of instances,
dicts, lists, tuples and strings that refer to each other. Measured: the pass alone (``heap()``),
the pass with paths, holders and retained size of 100,000 objects (``who_holds``), the pass with the
dominators of all objects, and what the process had resident at most beyond what it had before,
divided by the number of objects.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "pymod"))

import memprof
from memprof import _core
from memprof.quiet import OWN_FOLDER


class Record:
    __slots__ = ("name", "tags", "next")

    def __init__(self, number, before):
        self.name = f"record {number}"
        self.tags = [number, (self.name,), {"number": number + 10**9}]
        self.next = before


def build(objects: int) -> list[Record]:
    """Each record is 7 objects: itself, its name, a list, a tuple, a dict and two numbers."""
    records, last = [], None
    for number in range(objects // 7):
        last = Record(number + 1000, last if number % 100 else None)
        records.append(last)
    return records


def kernel_peak() -> int:
    """The largest resident set since it was reset, in bytes."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))


def reset_kernel_peak() -> int:
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    return kernel_peak()


def dominate(heap) -> int:
    """The pass, and the immediate dominators of all objects."""
    return heap.sum(heap.dominators(heap.all()))[0]


def measure(name: str, call) -> dict:
    before = reset_kernel_peak()
    begin, begin_cpu = time.perf_counter(), time.process_time()
    result = call()
    seconds, cpu = time.perf_counter() - begin, time.process_time() - begin_cpu
    scratch = kernel_peak() - before
    return {
        "what": name,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu, 2),
        "scratch": scratch,
        "result": result,
    }


def main() -> None:
    millions = float(sys.argv[1]) if len(sys.argv) > 1 else 5
    traced = "--traced" in sys.argv
    gc.disable()
    if traced:
        memprof.start()
    records = build(int(millions * 1e6))
    objects = _core.heap(OWN_FOLDER).facts()["objects"]
    rows = [
        measure("pass", lambda: _core.heap(OWN_FOLDER).facts()["memory"]),
        measure("who_holds", lambda: str(memprof.who_holds(*records[::7][:100_000]))),
        measure("dominators", lambda: dominate(_core.heap(OWN_FOLDER))),
    ]
    for row in rows:
        row["objects"] = objects
        row["scratch_per_object"] = round(row["scratch"] / objects, 1)
        print(json.dumps(row))


if __name__ == "__main__":
    main()
