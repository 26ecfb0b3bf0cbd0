"""Markdown tables of result documents (build/bench/*.json)."""

from __future__ import annotations

import statistics

from tools import REAL, TOOLS

MIB = 1 << 20


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def heading(document: dict) -> str:
    """One line: where a run was made and with what."""
    where = document["where"]
    packages = ", ".join(
        f"{name} {version}"
        for name, version in where["packages"].items()
        if name != "memprof-tracer"
    )
    return f"CPython {where['python']} ({where['compiler']}), {where['machine']}; {packages}."


# ---- overhead ----------------------------------------------------------------------------


def overhead_by_tool(document: dict) -> str:
    totals = document["overhead"]["totals"]
    rows = [
        [
            TOOLS[name].title,
            f"{one['geomean']:.2f}",
            f"{one['worst']:.2f} ({one['worst_benchmark']})",
            str(one["benchmarks"]),
        ]
        for name, one in sorted(totals.items(), key=lambda item: item[1]["geomean"])
    ]
    return table(["run time against no profiler", "geometric mean", "worst", "benchmarks"], rows)


def overhead_by_version(documents: list[dict]) -> str:
    rows = []
    for document in documents:
        one = document.get("overhead", {}).get("totals", {}).get("memprof")
        if one:
            rows.append(
                [
                    document["where"]["python"],
                    f"{one['geomean']:.2f}",
                    f"{one['worst']:.2f} ({one['worst_benchmark']})",
                ]
            )
    return table(["memprof on CPython", "geometric mean", "worst"], rows)


def overhead_by_benchmark(document: dict) -> str:
    """With the spread of the rounds where it is more than a few per cent."""
    benchmarks = document["overhead"]["benchmarks"]
    shown = [name for name in TOOLS if name in document["overhead"]["totals"]]
    rows = []
    for name, one in benchmarks.items():
        cells = []
        for tool in shown:
            found = one["ratios"].get(tool)
            cells.append(f"{found['ratio']:.2f} ±{found['spread']:.2f}" if found else "failed")
        rows.append([name, *cells])
    for title, key in (("geometric mean", "geomean"), ("worst", "worst")):
        cells = [f"**{document['overhead']['totals'][tool][key]:.2f}**" for tool in shown]
        rows.append([f"**{title}**", *cells])
    return table(["benchmark", *shown], rows)


def failures(document: dict) -> list[str]:
    """A line for each tool or benchmark that did not run."""
    lines = [
        f"{package} does not install: {why}"
        for package, why in document["where"]["missing"].items()
    ]
    overhead = document.get("overhead", {})
    lines += [f"{name}: {why}" for name, why in overhead.get("left_out", {}).items()]
    for name, one in overhead.get("benchmarks", {}).items():
        lines += [f"{name} under {tool}: {why}" for tool, why in one["failures"].items()]
    return lines


# ---- real software -------------------------------------------------------------------------


def real_heading(part: dict) -> str:
    """One line: where test suites and imports were run."""
    where = part["where"]
    versions = {
        name: n for one in part["workloads"].values() for name, n in one["packages"].items()
    }
    packages = ", ".join(f"{name} {number}" for name, number in sorted(versions.items()))
    return f"CPython {where['python']} ({where['compiler']}), {where['machine']}; {packages}."


def real(document: dict, spreads: bool = False) -> str:
    """CPU time and peak resident memory of each workload, against no profiler."""
    part = document["real"]
    shown = [tool for tool in REAL if tool in part["totals"]]
    rows = []
    for one in part["workloads"].values():
        seconds, peak = (statistics.median(one["runs"]["bare"][what]) for what in ("cpu", "rss"))
        cells = [_real_cell(one["ratios"].get(tool), spreads) for tool in shown]
        rows.append([one["title"], f"{seconds:.1f} s / {peak / MIB:,.0f} MiB", *cells])
    for title, key in (("geometric mean", "geomean"), ("worst", "worst")):
        totals = [part["totals"][tool] for tool in shown]
        cells = [f"**{one['cpu'][key]:.2f} / {one['rss'][key]:.2f}**" for one in totals]
        rows.append([f"**{title}**", "", *cells])
    titles = [REAL[tool].title for tool in shown]
    return table(["CPU time / peak resident memory", "no profiler", *titles], rows)


def _real_cell(ratios: dict | None, spreads: bool) -> str:
    if not ratios:
        return "failed"

    def shown(one: dict) -> str:
        return f"{one['ratio']:.2f}" + (f" ±{one['spread']:.2f}" if spreads else "")

    return f"{shown(ratios['cpu'])} / {shown(ratios['rss'])}"


def real_notes(document: dict) -> list[str]:
    """A line for each tool or workload that did not run, or whose tests came out otherwise."""
    part = document.get("real", {"left_out": {}, "workloads": {}})
    lines = [f"{name}: {why}" for name, why in part["left_out"].items()]
    for name, one in part["workloads"].items():
        lines += [f"{name} under {tool}: {why}" for tool, why in one["failures"].items()]
        for tool, found in one["differences"].items():
            lines += [f"{name} under {tool}, other outcome of the tests: {what}" for what in found]
    return lines


# ---- the rest ------------------------------------------------------------------------------


def memory(document: dict) -> str:
    rows = []
    tools: list[str] = []
    for kinds in document["costs"]["memory"].values():
        for peaks in kinds.values():
            tools += [tool for tool in peaks if tool != "bare" and tool not in tools]
    for count, kinds in document["costs"]["memory"].items():
        for kind, peaks in kinds.items():
            cells = [
                f"{peaks[tool] / peaks['bare']:.2f}×" if tool in peaks else "" for tool in tools
            ]
            rows.append([f"{int(count):,} {kind}", f"{peaks['bare'] / MIB:,.0f} MiB", *cells])
    return table(["peak resident memory", "no profiler", *tools], rows)


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:,.1f} ms" if seconds < 0.1 else f"{seconds * 1000:,.0f} ms"


def questions(document: dict) -> str:
    part = document["costs"]["questions"]
    titles = {
        "snapshot": "take a snapshot",
        "statistics": '`statistics("line")`',
        "compare": '`compare_to(old, "line")`',
        "pause": "longest stop of another thread meanwhile",
        "no_pause": "the same without a snapshot",
    }
    rows = []
    for what, title in titles.items():
        cells = [
            milliseconds(part[tool][what]["median"]) if what in part[tool] else ""
            for tool in ("memprof", "tracemalloc")
        ]
        rows.append([title, *cells])
    return table([f"with {part['blocks']:,} live blocks", "memprof", "tracemalloc"], rows)


def startup(document: dict) -> str:
    part = document["costs"]["startup"]
    bare = part["bare"]["median"]
    rows = [
        [
            f"`python -m {name} -c pass`" if name != "bare" else "`python -c pass`",
            milliseconds(one["median"]),
            "" if name == "bare" else f"+{milliseconds(one['median'] - bare)}",
        ]
        for name, one in part.items()
    ]
    return table(["start-up", "whole run", "over bare"], rows)


def profiles(document: dict) -> str:
    part = document["costs"]["profiles"]
    tools = list(next(iter(part.values())))
    rows = [
        [
            f"{int(loops):,} × the work",
            *(f"{sizes[tool] / 1024:,.0f} KiB" if tool in sizes else "" for tool in tools),
        ]
        for loops, sizes in part.items()
    ]
    return table(["profile file", *tools], rows)


def threads(document: dict) -> str:
    part = document["costs"]["threads"]
    counts = list(part["bare"])
    rows = []
    for tool, rates in part.items():
        one = rates[counts[0]]["median"]
        rows.append(
            [
                tool,
                *(
                    f"{rates[count]['median'] / 1e6:.2f} M/s ({rates[count]['median'] / one:.2f}×)"
                    for count in counts
                ),
            ]
        )
    return table(["blocks allocated and freed", *(f"{count} threads" for count in counts)], rows)


def depth(document: dict) -> str:
    part = document["costs"]["depth"]
    depths = list(part["bare"])
    rows = []
    for tool, costs in part.items():
        cells = []
        for deep in depths:
            extra = costs[deep]["median"] - part["bare"][deep]["median"]
            cells.append(
                f"{costs[deep]['median'] * 1e9:,.0f} ns"
                + (f" (+{extra * 1e9:,.0f})" if tool != "bare" else "")
            )
        rows.append([tool, *cells])
    return table(["one block, stack of", *(f"{deep} frames" for deep in depths)], rows)


def micro(document: dict) -> str:
    rows = [
        [name, f"{one['least']:.1f} ns", f"{one['median']:.1f} ns"]
        for name, one in document["costs"]["micro"].items()
    ]
    return table(["one operation, in C", "least", "median"], rows)


COSTS = {
    "memory": memory,
    "questions": questions,
    "startup": startup,
    "profiles": profiles,
    "threads": threads,
    "depth": depth,
    "micro": micro,
}
