"""All benchmarks of memprof, for the interpreter that runs this file: `make bench`.

    python bench/run.py                                    # everything: about an hour
    python bench/run.py --benchmarks json_loads,deepcopy --tools bare,memprof --rounds 3
    python bench/run.py --parts startup,depth              # no pyperformance

Makes its own virtual environment (build/bench-venv-VERSION), prints progress to stderr, and
writes build/bench/cpython-VERSION.json; bench/report.py makes tables and the picture of it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

import costs
import overhead
from environment import ROOT, Environment, describe, say, tag, warn_when_busy
from suite import ALL
from tools import TOOLS

OUTPUT = ROOT / "build" / "bench"


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--benchmarks", default="all", help="names with commas, or 'all'")
    parser.add_argument("--tools", default="all", help=f"of {', '.join(TOOLS)}; or 'all'")
    parser.add_argument(
        "--parts", default="all", help=f"overhead, {', '.join(costs.PARTS)}; or 'all'"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--seconds", type=float, default=0.1, help="of a value on the bare interpreter"
    )
    parser.add_argument(
        "--objects", type=int, default=2_000_000, help="live, for memory; and ten times it"
    )
    parser.add_argument("--blocks", type=int, default=5_000_000, help="live, for questions")
    parser.add_argument("--starts", type=int, default=30, help="of a program that does nothing")
    parser.add_argument("--loops", type=int, default=400_000, help="of threads and depth")
    parser.add_argument("--output", type=Path, default=OUTPUT / f"cpython-{tag()}.json")
    settings = parser.parse_args()
    every = {"benchmarks": ALL, "tools": list(TOOLS), "parts": ["overhead", *costs.PARTS]}
    for name, known in every.items():
        words = getattr(settings, name)
        chosen = known if words == "all" else [word for word in words.split(",") if word]
        if unknown := set(chosen) - set(known):
            parser.error(f"no such {name}: {', '.join(sorted(unknown))}")
        setattr(settings, name, chosen)
    if "bare" not in settings.tools:
        settings.tools.insert(0, "bare")
    return settings


def run_overhead(environment: Environment, settings: argparse.Namespace) -> dict:
    tools = [
        name
        for name in settings.tools
        if sys.version_info >= TOOLS[name].since
        and (not (package := TOOLS[name].package) or environment.add(package))
    ]
    return overhead.measure(
        environment,
        settings.benchmarks,
        tools,
        rounds=settings.rounds,
        target=settings.seconds,
    )


def store(document: dict, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(document, indent=1) + "\n")
    os.replace(part, path)


def main() -> None:
    settings = options()
    environment = Environment()
    environment.make()
    document: dict = {"format": 1, "date": time.strftime("%Y-%m-%d", time.gmtime()), "costs": {}}
    if settings.output.exists():  # parts that are not measured now stay as they are
        old = json.loads(settings.output.read_text())
        document |= {key: old[key] for key in ("overhead", "costs", "real") if key in old}
    warn_when_busy()
    if "overhead" in settings.parts:
        document["overhead"] = run_overhead(environment, settings)
    parts = [part for part in settings.parts if part != "overhead"]
    document["costs"] |= costs.measure(environment, parts, settings)
    document["where"] = describe(environment)
    store(document, settings.output)
    say(f"written: {settings.output}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
