"""Tables and the picture of what bench/run.py measured.

    python bench/report.py              # prints the tables of build/bench/*.json
    python bench/report.py --publish    # and puts them into README.md, bench/RESULTS.md,
                                        # bench/overhead.svg; the data into bench/results/

Only the text between the markers of README.md is replaced; nothing in it is typed by hand.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

import chart
import tables
from environment import HERE, ROOT
from targets import targets

MEASURED = ROOT / "build" / "bench"
RESULTS = HERE / "results"
PAGE = HERE / "RESULTS.md"
PICTURE = HERE / "overhead.svg"
README = ROOT / "README.md"
REAL_STACKS = "hundreds of thousands of call stacks, where benchmarks have hundreds"
BEGIN, END = "<!-- bench:begin, made by bench/report.py -->", "<!-- bench:end -->"


def load(folder: Path) -> list[dict]:
    """Result documents by version of Python."""
    documents = [json.loads(path.read_text()) for path in folder.glob("cpython-*.json")]
    return sorted(
        documents, key=lambda one: [int(n) for n in re.findall(r"\d+", one["where"]["python"])]
    )


def chief(documents: list[dict]) -> dict | None:
    """The document that the README shows: most other profilers, then most benchmarks, then the
    newest."""
    with_overhead = [one for one in documents if one.get("overhead", {}).get("totals")]
    return max(
        with_overhead,
        key=lambda one: (
            sum(not name.startswith("memprof") for name in one["overhead"]["totals"]),
            len(one["overhead"]["benchmarks"]),
            documents.index(one),
        ),
        default=None,
    )


def costs_of(document: dict) -> list[str]:
    return [make(document) for part, make in tables.COSTS.items() if part in document["costs"]]


def page(documents: list[dict]) -> str:
    """All numbers, for bench/RESULTS.md."""
    texts = [
        "# Results\n\nMade by `bench/report.py --publish`; the method is in "
        "[`README.md`](README.md).",
        targets(documents),
    ]
    for document in documents:
        version, heading = document["where"]["python"], tables.heading(document)
        texts.append(f"## CPython {version}\n\n{heading} {document['date']}.")
        if document.get("overhead", {}).get("totals"):
            texts += [tables.overhead_by_tool(document), tables.overhead_by_benchmark(document)]
        if "real" in document:
            texts += [tables.real_heading(document["real"]), tables.real(document, spreads=True)]
        texts += costs_of(document)
        if lines := [*tables.failures(document), *tables.real_notes(document)]:
            texts.append("Left out:\n\n" + "\n".join(f"- {line}" for line in lines))
    return "\n\n".join(texts) + "\n"


def summary(documents: list[dict]) -> str:
    """What the README shows."""
    texts = []
    if shown := chief(documents):
        texts += [
            f"{tables.heading(shown)} Method: [`bench/README.md`](bench/README.md); all numbers: "
            "[`bench/RESULTS.md`](bench/RESULTS.md).",
            "![Run time under memory profilers](bench/overhead.svg)",
            tables.overhead_by_tool(shown),
        ]
    texts.append(tables.overhead_by_version(documents))
    with_real = [one for one in documents if "real" in one]
    if with_real:
        most = max(with_real, key=lambda one: len(one["real"]["workloads"]))
        texts += [
            f"Test suites and imports of real programs have {REAL_STACKS}. "
            f"{tables.real_heading(most['real'])}",
            tables.real(most),
        ]
    with_costs = [one for one in documents if one["costs"]]
    if with_costs:
        most = max(with_costs, key=lambda one: (len(one["costs"]), documents.index(one)))
        texts += [f"Other costs, CPython {most['where']['python']}:", *costs_of(most)]
    texts.append(targets(documents))
    return "\n\n".join(texts)


def publish(measured: list[Path]) -> None:
    RESULTS.mkdir(exist_ok=True)
    for path in measured:
        document = json.loads(path.read_text())
        (RESULTS / path.name).write_text(json.dumps(document, separators=(",", ":")) + "\n")
    documents = load(RESULTS)
    PAGE.write_text(page(documents))
    if shown := chief(documents):
        PICTURE.write_text(chart.draw(shown))
    text = README.read_text()
    if BEGIN not in text or END not in text:
        sys.exit(f"report: README.md has no line {BEGIN}")
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    README.write_text(f"{before}{BEGIN}\n\n{summary(documents)}\n\n{END}{after}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--publish", action="store_true", help="write README.md and bench/")
    settings = parser.parse_args()
    measured = sorted(MEASURED.glob("cpython-*.json"))
    if not measured:
        sys.exit("report: nothing measured yet (make bench)")
    print(page(load(MEASURED)))
    if settings.publish:
        publish(measured)


if __name__ == "__main__":
    main()
