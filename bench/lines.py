"""What a line event costs: memprof beside memory_profiler, in one run.

    python bench/lines.py [--rounds 7] [--iterations 200000] [--output FILE]

Method: one process, CPU time (time.process_time), the variants in turns within each round, the
least of all rounds of each, differences and ratios of those. memory_profiler, which is thousands
of times slower, runs a fiftieth of the iterations once per round of three. Also: code that is not
selected while another function is profiled, %memit's number for an allocation of known size, and
how far a million known allocations are from what their line is charged with. Prints a table with
the targets; exit status 1 when one of memprof's is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

from memprof import _core
from memprof.control.line_profiler import LineProfiler
from memprof.control.measuring import run_code

EVENTS = 4  # line events of an iteration
MIB = 2**20
HAS_MONITORING = hasattr(sys, "monitoring")


def loop(n):
    total = 0
    for i in range(n):
        total += i
        total ^= 3
        total &= 1048575
    return total


def other():
    return None


def unselected(n):
    total = 0
    for i in range(n):
        total += i
        total ^= 3
        total &= 1048575
    return total


def callee(i):
    return i


def calls(n):
    for i in range(n):
        callee(i)


def exact(n):
    for _ in range(n):
        x = bytes(967)  # 1000 bytes with its header
    return x


def timed(call, *arguments) -> float:
    begin = time.process_time()
    call(*arguments)
    return time.process_time() - begin


def selected(n) -> float:
    prof = LineProfiler()
    prof.add_function(loop)
    with prof:
        loop(10)
        return timed(loop, n)


def beside_selected(function, n, was_called=False) -> float:
    """A function that is not selected, while another one is, and was called or not."""
    prof = LineProfiler()
    prof.add_function(other)
    with prof:
        if was_called:
            other()
        return timed(function, n)


# What is compared runs the same function: another one may lie elsewhere in memory.
VARIANTS = {
    "bare": lambda n: timed(loop, n),
    "selected": selected,
    "bare_unselected": lambda n: timed(unselected, n),
    "not_selected": lambda n: beside_selected(unselected, n),
    "not_selected_any_more": lambda n: beside_selected(unselected, n, was_called=True),
    "bare_calls": lambda n: timed(calls, n),
    "calls_not_selected": lambda n: beside_selected(calls, n),
}


def memory_profiler(n) -> float | None:
    try:
        from memory_profiler import LineProfiler as Theirs
    except ImportError:
        return None
    prof = Theirs()
    wrapped = prof(loop)
    return timed(wrapped, n)


def charged(n: int) -> float:
    """Bytes that the line of exact() is charged with, for each that it allocates."""
    prof = LineProfiler()
    prof.add_function(exact)
    with prof:
        exact(n)
    row = next(row for row in prof.rows() if row["source"].strip().startswith("x = bytes"))
    assert row["hits"] == n, row
    return row["allocated"] / (1000 * n)


def memit(size: int) -> float:
    code = compile(f"bytearray({size})", "<bench>", "exec")
    return run_code(code, {}, {}).increment


def measure(rounds: int, n: int) -> dict:
    seconds: dict[str, list[float]] = {name: [] for name in VARIANTS}
    theirs = []
    for number in range(rounds):
        for name, variant in VARIANTS.items():
            seconds[name].append(variant(n))
        if number % 3 == 0 and (took := memory_profiler(n // 50)) is not None:
            theirs.append(took)
    least = {name: min(values) for name, values in seconds.items()}
    events = EVENTS * n
    result = {
        "python": sys.version.split()[0],
        "iterations": n,
        "seconds": seconds,
        "bare_ns": 1e9 * least["bare"] / events,
        "event_ns": 1e9 * (least["selected"] - least["bare"]) / events,
        "unselected": least["not_selected"] / least["bare_unselected"],
        "unselected_while_tracing": least["not_selected_any_more"] / least["bare_unselected"],
        "unselected_calls": least["calls_not_selected"] / least["bare_calls"],
        "memit_50_mib": memit(50 * MIB) / (50 * MIB),
        "charged": charged(1_000_000),
        "broken": _core.check(),
    }
    if theirs:
        events = EVENTS * (n // 50)
        bare_share = least["bare"] / 50
        result["their_event_ns"] = 1e9 * (min(theirs) - bare_share) / events
    return result


def rows_of(result: dict) -> list[tuple]:
    """(what, value, target, is met)"""
    limit = 50 if HAS_MONITORING else 80
    event = result["event_ns"]
    rows = [
        ("a line event, above the bare loop", f"{event:.1f} ns", f"<= {limit} ns", event <= limit)
    ]
    if "their_event_ns" in result:
        theirs, times = result["their_event_ns"], result["their_event_ns"] / event
        rows += [
            ("memory_profiler's line event", f"{theirs:,.0f} ns", "", True),
            ("memprof's is less by", f"{times:,.0f} x", ">= 300 x", times >= 300),
        ]
    return [*rows, *rows_of_others(result), *rows_of_truth(result)]


def rows_of_others(result: dict) -> list[tuple]:
    """Of what is not selected."""
    return [
        (
            "code that is not selected",
            f"{result['unselected']:.2f} x",
            "<= 1.05 x",
            result["unselected"] <= 1.05,
        ),
        (
            "the same, once a selected function was called",
            f"{result['unselected_while_tracing']:.2f} x",
            "<= 1.05 x",
            result["unselected_while_tracing"] <= 1.05,
        ),
        (
            "calls that are not selected",
            f"{result['unselected_calls']:.2f} x",
            "<= 1.05 x" if HAS_MONITORING else "",  # 3.11: see lib/py/lines/events_settrace.c
            result["unselected_calls"] <= 1.05 or not HAS_MONITORING,
        ),
    ]


def rows_of_truth(result: dict) -> list[tuple]:
    """Of numbers that are known."""
    return [
        (
            "%memit of 50 MiB, of the truth",
            f"{100 * result['memit_50_mib']:.2f} %",
            "99 to 101 %",
            abs(result["memit_50_mib"] - 1) <= 0.01,
        ),
        (
            "1,000,000 known allocations, charged",
            f"{100 * result['charged']:.3f} %",
            "99.5 to 100.5 %",
            abs(result["charged"] - 1) <= 0.005,
        ),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--iterations", type=int, default=200_000)
    parser.add_argument("--output", metavar="FILE", help="all values as JSON")
    settings = parser.parse_args()
    result = measure(settings.rounds, settings.iterations)
    rows = rows_of(result)
    print(
        f"CPython {result['python']}, {result['iterations']:,} iterations of four lines, bare "
        f"{result['bare_ns']:.1f} ns a line\n"
    )
    print("| what | value | target | met |")
    print("|---|---|---|---|")
    for what, value, target, is_met in rows:
        print(f"| {what} | {value} | {target} | {('yes' if is_met else 'NO') if target else ''} |")
    if settings.output:
        with open(settings.output, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)
    return 0 if all(is_met for *_, is_met in rows) and result["broken"] is None else 1


if __name__ == "__main__":
    sys.exit(main())
