#!/usr/bin/env python3
"""Write the table of supported versions into README.md, from the rows of check_pythons.py."""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BEGIN, END = "<!-- pythons: written by make python-table -->\n", "<!-- end of pythons -->\n"


def line_of(row: dict) -> str:
    counts = f"{row['passed']} passed"
    for name, count in (("failed", row["failed"]), ("skipped", sum(row["skipped"].values()))):
        counts += f", {count} {name}" if count else ""
    kind = "free-threaded" if row["version"].endswith("t") else ""
    state = "supported" if row["supported"] and not row["failed"] else "not yet"
    return f"| {row['version'].rstrip('t')} | {kind} | {state} | {counts} |\n"


def main() -> None:
    rows = json.loads((ROOT / "build" / "pythons.json").read_text())
    table = "| CPython | build | | suite |\n|---|---|---|---|\n" + "".join(map(line_of, rows))
    readme = ROOT / "README.md"
    before, rest = readme.read_text().split(BEGIN)
    after = rest.split(END)[1]
    readme.write_text(before + BEGIN + table + END + after)


if __name__ == "__main__":
    main()
