"""Slowdown of memory profilers on pyperformance's benchmarks: rounds of interleaved runs."""

from __future__ import annotations

import statistics
import time

from environment import Environment, say
from statistic import geomean, ratio
from suite import Benchmark, Failed
from tools import TOOLS

SLOW = 0.4  # seconds of a value above which one value for each process has to do
FAR = 8  # a tool that slows a benchmark more than this is measured in one round only


def measure(
    environment: Environment, names: list[str], tools: list[str], *, rounds: int, target: float
) -> dict:
    """All results. `target`: seconds of one value on the bare interpreter."""
    began = time.monotonic()
    left_out: dict[str, str] = {}
    benchmarks = prepare(environment, names, target, left_out)
    say(f"{len(benchmarks)} benchmarks calibrated in {time.monotonic() - began:.0f} s")
    seconds: dict[str, dict[str, list[list[float]]]] = {
        benchmark.name: {tool: [] for tool in tools} for benchmark in benchmarks
    }
    failures: dict[str, dict[str, str]] = {benchmark.name: {} for benchmark in benchmarks}
    for number in range(1, rounds + 1):
        for index, benchmark in enumerate(benchmarks, 1):
            name = benchmark.name
            one_round(benchmark, number, tools, seconds=seconds[name], failures=failures[name])
            progress(
                benchmark,
                f"round {number}/{rounds} {index}/{len(benchmarks)}",
                seconds[benchmark.name],
                began,
            )
    left_out |= {name: failed["bare"] for name, failed in failures.items() if "bare" in failed}
    results = {
        benchmark.name: result(benchmark, seconds[benchmark.name], failures[benchmark.name])
        for benchmark in benchmarks
        if benchmark.name not in left_out
    }
    return {
        "benchmarks": results,
        "totals": totals(results),
        "left_out": left_out,
        "rounds": rounds,
        "seconds": target,
    }


def prepare(
    environment: Environment, names: list[str], target: float, left_out: dict[str, str]
) -> list[Benchmark]:
    """Install and calibrate; what does not run without a profiler is left out."""
    folder = environment.benchmarks()
    ready = []
    for name in names:
        benchmark = Benchmark(name, environment, folder)
        try:
            benchmark.install()
            benchmark.calibrate(target)
        except Failed as error:
            left_out[name] = str(error)
            say(f"left out: {name}: {error}")
            continue
        ready.append(benchmark)
    return ready


def one_round(
    benchmark: Benchmark,
    number: int,
    tools: list[str],
    *,
    seconds: dict[str, list[list[float]]],
    failures: dict[str, str],
) -> None:
    """Each tool once. The order turns, so that none always follows the same other one."""
    turn = number % len(tools)
    values, warmups = (1, 0) if benchmark.seconds > SLOW else (2, 1)
    for tool in [*tools[turn:], *tools[:turn]]:
        if tool in failures or is_far(seconds[tool], seconds["bare"]):
            continue
        try:
            seconds[tool].append(benchmark.measure(tool, values, warmups))
        except Failed as error:
            failures[tool] = str(error)
            say(f"{benchmark.name}: {tool} failed: {error}")


def is_far(rounds: list[list[float]], bare: list[list[float]]) -> bool:
    return bool(rounds and bare) and ratio(rounds, bare)["ratio"] > FAR


def progress(benchmark: Benchmark, where: str, seconds: dict, began: float) -> None:
    bare = seconds["bare"]
    if not bare:
        return
    known = ", ".join(
        f"{tool} {ratio(values, bare)['ratio']:.2f}"
        for tool, values in seconds.items()
        if tool != "bare" and values
    )
    say(f"{time.monotonic() - began:5.0f} s  {where}  {benchmark.name}: {known}")


def result(benchmark: Benchmark, seconds: dict, failures: dict[str, str]) -> dict:
    bare = seconds["bare"]
    ratios = {
        tool: ratio(values, bare)
        for tool, values in seconds.items()
        if tool != "bare" and tool not in failures
    }
    middle = statistics.median(value for values in bare for value in values)
    single = [statistics.median(values) / middle for values in bare]
    return {
        "loops": benchmark.loops,
        "seconds": {
            tool: [[round(v, 5) for v in one] for one in values] for tool, values in seconds.items()
        },
        "ratios": ratios,
        "failures": failures,
        "bare_range": round(max(single) - min(single), 4),
    }


def totals(results: dict[str, dict]) -> dict[str, dict]:
    """Tool -> geometric mean and worst benchmark."""
    found = {}
    for tool in TOOLS:
        ratios = {
            name: one["ratios"][tool]["ratio"]
            for name, one in results.items()
            if tool in one["ratios"]
        }
        if ratios:
            worst = max(ratios, key=ratios.__getitem__)
            found[tool] = {
                "geomean": round(geomean(list(ratios.values())), 4),
                "worst": ratios[worst],
                "worst_benchmark": worst,
                "benchmarks": len(ratios),
            }
    return found
