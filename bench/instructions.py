"""Instructions that memprof costs on fixed workloads, counted by valgrind's callgrind.

    python bench/instructions.py [--python PYTHON]            # by part of the hot path
    python bench/instructions.py --check                      # against bench/budget.json
    python bench/instructions.py --update                     # write bench/budget.json
    python bench/instructions.py --check --growth 10000000    # with tables as large as they get

Unlike seconds the counts are the same in each run and on a busy machine (hash seed and addresses
are fixed), so a few per cent are a change of the code. They say nothing of caches and branches:
bench/overhead.py measures what users feel.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import callgrind
import workload

HERE = Path(__file__).resolve().parent
MICRO = HERE.parent / "build" / "bench" / "micro"
BUDGET = HERE / "budget.json"
NEW = 1000  # stacks, as in bench/micro.c
SLACK = 1.03  # another patch release of the compiler or of CPython

# What the sources of the core do on the way of an event; "miss": a stack not in the cache.
PARTS = {
    "hook": ["hook.c"],
    "thread": ["thread.h", "thread.c", "meter.h", "cache.h", "cache.c"],
    "walk": [
        "stack.h",
        "stack.c",
        "trail.h",
        "trail.c",
        "frames.h",
        "anchor_*.h",
        "compat.h",
        "layout_*.h",
    ],
    "tracer": ["tracer.h", "tracer.c", "generation.h", "generation.c"],
    "shadow": ["shadow.h", "shadow.c"],
    "tally": ["tally.h", "tally.c", "lanes.h", "lanes.c"],
    "side": ["side.h", "side.c"],
    "miss": [
        "intern.c",
        "intern.h",
        "code.c",
        "depot.c",
        "stacks.c",
        "table.c",
        "names.c",
        "linetable.c",
        "depot.h",
        "stacks.h",
        "table.h",
        "names.h",
        "linetable.h",
        "code.h",
    ],
}
OTHER = "other"
DOMAINS = ("raw", "mem", "obj")


class Unavailable(Exception):
    """Instructions cannot be counted here; the message says why."""


@dataclass
class Cost:
    """One workload, once: `total` and `bare` are all instructions with and without memprof."""

    total: int
    bare: int
    parts: Counter  # part of the core -> instructions
    functions: Counter  # function, inlined ones too -> instructions
    calls: Counter  # function of the core -> calls
    allocs: int
    frees: int

    @property
    def pairs(self) -> float:
        return (self.allocs + self.frees) / 2 or 1

    @property
    def per_pair(self) -> float:
        return sum(self.parts.values()) / self.pairs


def part_of(file: str) -> str:
    name = Path(file).name
    for part, patterns in PARTS.items():
        if any(Path(name).match(pattern) for pattern in patterns):
            return part
    return OTHER


class Sources:
    """Which function a line of the core belongs to."""

    def __init__(self) -> None:
        self._owners: dict[str, list[str]] = {}

    def function(self, file: str, line: int) -> str:
        if file not in self._owners:
            found = list((HERE.parent / "lib").rglob(Path(file).name))
            self._owners[file] = callgrind.functions_of(found[0]) if found else []
        owners = self._owners[file]
        return owners[line] if line < len(owners) and owners[line] else Path(file).name


def is_core(object_file: str) -> bool:
    return Path(object_file).name.startswith("_core.")


def launcher(python: str, root: str | None) -> list[str]:
    """The command that starts the interpreter. One of another system in a folder (`root`) is
    started by that system's loader: valgrind could not follow it into a chroot."""
    if not root:
        return [python]
    folders = Path(root, "usr/lib", f"{os.uname().machine}-linux-gnu")
    loader = next(Path(root, "lib64").glob("ld-linux*"))
    return [str(loader), "--library-path", str(folders), root + python]


def run(
    command: list[str], mode: str, names: list[str], folder: Path
) -> dict[str, callgrind.Profile]:
    """The profile of each workload, from one process."""
    whole = [*command, "-S", "-s", str(HERE / "workload.py"), mode, *names]
    output = folder / mode
    count(whole, output)
    return {
        name: callgrind.read(Path(f"{output}.{2 * index + 2}")) for index, name in enumerate(names)
    }


def count(command: list[str], output: Path) -> None:
    """Run it in callgrind: the part up to the n-th sched_yield() goes to the file `output`.n."""
    valgrind = shutil.which("valgrind")
    if not valgrind:
        raise Unavailable("valgrind is not installed")
    whole = [
        valgrind,
        "--tool=callgrind",
        f"--callgrind-out-file={output}",
        "--dump-before=sched_yield",
        *command,
    ]
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONMALLOC": "default",  # without a GIL there is no pymalloc
    }
    done = subprocess.run(whole, capture_output=True, text=True, env=environment, cwd=output.parent)
    if done.returncode:
        raise Unavailable(f"valgrind failed: {done.stderr.strip()[-300:]}")


def grown(most: int) -> dict[str, float]:
    """Instructions of a new call stack of 12 frames beside 1,000, 10,000, ... `most` others."""
    sizes = [10**power for power in range(3, 9) if 10**power <= most]
    if not sizes or not MICRO.exists():
        return {}
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "growth")
        count([str(MICRO), "--growth", str(most)], output)
        totals = [callgrind.read(Path(f"{output}.{2 * i + 2}")).total for i in range(len(sizes))]
    return {
        f"a new stack beside {size:,}": total / NEW
        for size, total in zip(sizes, totals, strict=True)
    }


def summarize(profile: callgrind.Profile, bare: callgrind.Profile, sources: Sources) -> Cost:
    parts: Counter = Counter()
    functions: Counter = Counter()
    for (object_file, file), lines in profile.lines.items():
        if not is_core(object_file):
            continue
        parts[part_of(file)] += sum(lines.values())
        for line, cost in lines.items():
            functions[sources.function(file, line)] += cost
    calls = Counter(
        {
            function: count
            for (object_file, function), count in profile.calls.items()
            if is_core(object_file)
        }
    )
    asked = {
        verb: sum(calls[f"{domain}_{verb}"] for domain in DOMAINS)
        for verb in ("malloc", "calloc", "realloc", "free")
    }
    return Cost(
        profile.total,
        bare.total,
        parts,
        functions,
        calls,
        asked["malloc"] + asked["calloc"] + asked["realloc"],
        asked["free"] + asked["realloc"],
    )


def measure(command: list[str], names: list[str]) -> dict[str, Cost]:
    sources = Sources()
    with tempfile.TemporaryDirectory() as folder:
        with_memprof = run(command, "memprof", names, Path(folder))
        bare = run(command, "bare", names, Path(folder))
    costs = {name: summarize(with_memprof[name], bare[name], sources) for name in names}
    if not any(cost.allocs for cost in costs.values()):
        raise Unavailable("the extension has no symbols, so its hooks are not found")
    return costs


# ---- for people ------------------------------------------------------------------------


def table(costs: dict[str, Cost]) -> str:
    """Markdown: instructions per allocation and free, by part."""
    parts = [*PARTS, OTHER]
    lines = [
        "| workload | pairs | total/bare | per pair | " + " | ".join(parts) + " | misses |",
        "|---|" + "---|" * (len(parts) + 4),
    ]
    for name, cost in costs.items():
        cells = [f"{cost.parts[part] / cost.pairs:.1f}" for part in parts]
        missed = cost.calls["mp_intern_site"] / max(cost.allocs, 1)
        lines.append(
            f"| {name} | {cost.pairs:,.0f} | {cost.total / cost.bare:.3f} | {cost.per_pair:.1f} | "
            + " | ".join(cells)
            + f" | {missed:.1%} |"
        )
    return "\n".join(lines)


def functions_table(costs: dict[str, Cost], most: int = 24) -> str:
    """Markdown: the functions that cost most, inlined ones too, in instructions per pair."""
    sums: Counter = Counter()
    for cost in costs.values():
        for function, spent in cost.functions.items():
            sums[function] += spent / cost.pairs
    lines = ["| function | " + " | ".join(costs) + " |", "|---|" + "---|" * len(costs)]
    for function, _ in sums.most_common(most):
        cells = [f"{cost.functions[function] / cost.pairs:.1f}" for cost in costs.values()]
        lines.append(f"| {function} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


# ---- the budget -------------------------------------------------------------------------


ASK = """import os, sys, platform
print("cpython-%d.%d%s" % (*sys.version_info[:2], sys.abiflags), platform.machine())
sys.path.insert(0, sys.argv[1])
import memprof._core as core
print(core.__file__)"""


def identity(command: list[str]) -> str:
    """What the counts depend on beside the code: interpreter, machine and compiler."""
    found = subprocess.run(
        [*command, "-c", ASK, str(HERE.parent / "pymod")], capture_output=True, text=True
    )
    if found.returncode:
        raise Unavailable(f"memprof is not built in place: {found.stderr.strip()[-200:]}")
    system, extension = found.stdout.splitlines()
    compiler = re.search(rb"(GCC|clang)[^\0]*? (\d+)\.\d", Path(extension).read_bytes())
    name = f"{compiler[1].decode().lower()}-{compiler[2].decode()}" if compiler else "?"
    return f"{system} {name}"


def compare(counts: dict[str, float], budget: dict[str, float]) -> list[str]:
    """A line for each of the counts that is above its budget."""
    return [
        f"{name}: {count:.1f} instructions, budget {budget[name]}"
        for name, count in counts.items()
        if name in budget and count > budget[name] * SLACK
    ]


def load() -> dict[str, dict[str, float]]:
    return json.loads(BUDGET.read_text()) if BUDGET.exists() else {}


def update(key: str, counts: dict[str, float]) -> None:
    stored = load()
    stored.setdefault(key, {}).update({name: round(count, 1) for name, count in counts.items()})
    BUDGET.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n")


def check(key: str, counts: dict[str, float]) -> int:
    budget = load().get(key)
    if budget is None:
        print(f"budget: none stored for {key} (python bench/instructions.py --update)")
        return 0
    over = compare(counts, budget)
    for line in over:
        print(f"budget: {line}")
    if not over:
        known = [name for name in counts if name in budget]
        share = sum(map(counts.get, known)) / (sum(map(budget.get, known)) or 1)
        print(f"budget: kept by {len(known)} counts, {share:.1%} of it ({key})")
    return 1 if over else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", default=sys.executable, help="memprof is built for it in place")
    parser.add_argument("--root", metavar="FOLDER", help="of the system that PYTHON belongs to")
    parser.add_argument("--workloads", default=",".join(workload.WORKLOADS), metavar="NAME,...")
    parser.add_argument("--check", action="store_true", help="exit status 1 above the budget")
    parser.add_argument("--update", action="store_true", help="store what is counted as budget")
    parser.add_argument(
        "--growth",
        type=int,
        default=10**6,
        metavar="STACKS",
        help="count new stacks beside 1,000, 10,000, ... STACKS others (default: %(default)s)",
    )
    settings = parser.parse_args()
    try:
        command = launcher(settings.python, settings.root)
        key = identity(command)
        costs = measure(command, settings.workloads.split(","))
        growth = grown(settings.growth)
    except Unavailable as error:
        print(f"budget: not checked, {error}")
        return 0
    counts = {name: cost.per_pair for name, cost in costs.items()} | growth
    if settings.update:
        update(key, counts)
    if settings.check:
        return check(key, counts)
    print(f"Instructions per allocation and free, {key}\n")
    print(table(costs), functions_table(costs), sep="\n\n")
    print("\nInstructions of\n")
    print(*(f"{name:32} {count:7.1f}" for name, count in growth.items()), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
