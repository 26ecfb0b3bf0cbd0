#!/usr/bin/env python3
"""The whole suite on each of several interpreters; a row for each.

    check_pythons.py [-k WORDS ...] [PYTHON ...]      default: what .ci/pythons can provide

For each interpreter the tree is copied to build/pythons/VERSION/tree, the extension is built
there in a virtual environment of its own, and pytest runs with the options that
MEMPROF_PYTEST adds. The rows go to build/pythons.json as well, which .ci/python_table.py turns
into the table of the README. Exit status 1 when a version of .ci/supported is not green.
"""

import json
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as xml
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "pythons"
RESULTS = ROOT / "build" / "pythons.json"
ALL_MINUTES = float(os.environ.get("MEMPROF_MINUTES", "inf"))  # with .ci/pythons; then no further one is begun
OWN_REPORT = os.environ.get("MEMPROF_OWN_REPORT")  # of pytest on the Python that runs this
WELCOME = ("greenlet", "gevent", "coverage")  # some tests need them, where they can be had
MINUTES = 20  # for the suite on one interpreter
PROVIDE_MINUTES = 25
ASK = """import sys, sysconfig
print(".".join(map(str, sys.version_info[:3])) + ("t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""))"""
# An interpreter may be a script that enters another root folder: what runs in the virtual
# environment must be started from inside.
INSIDE = "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))"


def supported() -> set[str]:
    """Versions like 3.13 and 3.13t that must be green."""
    lines = (ROOT / ".ci" / "supported").read_text().splitlines()
    return {line.split()[0] for line in lines if line and not line.startswith("#")}


def known_failures(version: str) -> set[str]:
    """Tests that are known to fail on this version, each with a reason in the file."""
    lines = (ROOT / ".ci" / "known_failures").read_text().splitlines()
    words = [line.partition("#")[0].split(maxsplit=1) for line in lines]
    return {name.strip() for minors, name in filter(None, words) if version in minors.split(",")}


def minor_of(version: str) -> str:
    return ".".join(version.split(".")[:2]) + ("t" if version.endswith("t") else "")


def provide() -> list[str]:
    """What .ci/pythons has found or made when its time is over."""
    with subprocess.Popen(
        [ROOT / ".ci" / "pythons"], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            found = process.communicate(timeout=PROVIDE_MINUTES * 60)[0]
        except subprocess.TimeoutExpired as error:
            print(f".ci/pythons: not done after {PROVIDE_MINUTES} minutes", flush=True)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            found = (error.stdout or b"").decode()
    return [line.split("\t")[1] for line in found.splitlines() if "\t" in line]


def copy_tree(target: Path) -> None:
    """What git tracks or would track, with its times: then only what changed is built again."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    wanted = {name for name in names.split("\0") if name and (ROOT / name).is_file()}
    for name in wanted:
        source, copy = ROOT / name, target / name
        if not copy.exists() or copy.stat().st_mtime != source.stat().st_mtime:
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy)
    for room in ("lib", "pymod", "tests", "include"):
        for copy in (target / room).rglob("*"):
            built = copy.suffix in (".so", ".pyc") or ".egg-info" in str(copy)
            if copy.is_file() and not built and str(copy.relative_to(target)) not in wanted:
                copy.unlink()


class Interpreter:
    """One column of the matrix: a Python and its folder."""

    def __init__(self, python: str) -> None:
        self.python = python
        self.version = subprocess.run(
            [python, "-c", ASK], capture_output=True, text=True, check=True
        ).stdout.strip()
        self.folder = FOLDER / self.version
        self.tree = self.folder / "tree"
        self.log = self.folder / "log"

    def run(self, *command: object) -> int:
        """Run a command of the virtual environment in the tree; its exit status."""
        words = [str(self.folder / "venv" / "bin" / "python"), *map(str, command)]
        return self.start([self.python, "-c", INSIDE, *words])

    def start(self, words: list[str]) -> int:
        env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        with self.log.open("a") as log:
            process = subprocess.Popen(
                words, cwd=self.tree, env=env, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            try:
                return process.wait(MINUTES * 60)
            except BaseException as error:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                if not isinstance(error, subprocess.TimeoutExpired):
                    raise
                return -signal.SIGKILL

    def build(self) -> bool:
        self.tree.mkdir(parents=True, exist_ok=True)
        self.log.write_text("")
        copy_tree(self.tree)
        venv = self.folder / "venv"
        if not (venv / "bin" / "python").is_symlink():
            if self.start([self.python, "-m", "venv", str(venv)]):
                return False
        install = ("-m", "pip", "install", "-q", "--disable-pip-version-check", "--prefer-binary")
        if self.run(*install, "setuptools>=77", "wheel"):
            return False
        for name in WELCOME:
            self.run(*install, "--only-binary", ":all:", name)
        return self.run(*install, "--no-build-isolation", "-e", ".[test]") == 0

    def check(self, options: list[str]) -> dict:
        """Build and test; the row."""
        began = time.monotonic()
        report = self.folder / "report.xml"
        if OWN_REPORT and self.version == platform.python_version():  # make check has run it
            row = {"version": self.version, "python": self.python, "seconds": 0}
            return row | passed_in_the_end(read_report(ROOT / OWN_REPORT, 0, set()))
        row = {"version": self.version, "python": self.python, "failures": ["does not build"]}
        row |= {"passed": 0, "failed": 1, "skipped": {}, "expected": {}}
        if self.build():
            report.unlink(missing_ok=True)
            status = self.run(
                "-m", "pytest", "tests/py", "-q", "-p", "no:cacheprovider", "--tb=short",
                "-o", "faulthandler_timeout=300", f"--junitxml={report}", *options,
            )  # fmt: skip
            row |= read_report(report, status, known_failures(minor_of(self.version)))
        row["seconds"] = round(time.monotonic() - began)
        return row


def name_of(case: xml.Element) -> str:
    return f"{case.get('classname').removeprefix('tests.py.')}::{case.get('name')}"


def read_report(report: Path, status: int, known: set[str]) -> dict:
    """Counts of pytest's report; a suite that did not end has failed."""
    row = {"passed": 0, "failures": []}
    skipped, expected = Counter(), Counter()
    for case in xml.parse(report).iter("testcase") if report.exists() else ():
        outcome = next((child for child in case if child.tag in ("failure", "error", "skipped")), None)
        if outcome is None:
            row["passed"] += 1
        elif outcome.tag == "skipped":
            kind = expected if "xfail" in outcome.get("type", "") else skipped
            kind[outcome.get("message", "").removeprefix("Skipped: ")] += 1
        elif (name := name_of(case)) in known:
            expected[f"{name}, as .ci/known_failures says"] += 1
        else:
            row["failures"].append(name)
    if status not in (0, 1) or (status and not row["failures"] and not expected):
        row["failures"].append(f"pytest ended with status {status}")
    row |= {"failed": len(row["failures"]), "skipped": dict(skipped), "expected": dict(expected)}
    return row


def passed_in_the_end(row: dict) -> dict:
    """Of a report of make check that has passed: it runs once more what has failed."""
    again = {f"{name} had to be run once more": 1 for name in row["failures"]}
    return row | {"failures": [], "failed": 0, "expected": row["expected"] | again}


def show(row: dict, required: bool) -> None:
    counts = f"{row['passed']} passed, {row['failed']} failed, {sum(row['skipped'].values())} skipped"
    known = sum(row["expected"].values())
    counts += f", {known} known to fail" if known else ""
    verdict = "ok" if not row["failed"] else "FAILED" if required else "failed (not in .ci/supported)"
    print(f"{row['version']:9} {counts}, {row['seconds']} s: {verdict}", flush=True)
    for what in ("skipped", "expected"):
        for reason, count in row[what].items():
            print(f"          {what} {count}: {reason}")
    for name in row["failures"]:
        print(f"          failed: {name}")
    sys.stdout.flush()


def main() -> int:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's & had it ignored
    options = shlex.split(os.environ.get("MEMPROF_PYTEST", ""))
    required, rows = supported(), []
    end = time.monotonic() + 60 * ALL_MINUTES
    pythons = sys.argv[1:] or provide()
    for python in pythons:
        if time.monotonic() > end:
            print(f"{python}: left out, {ALL_MINUTES:.0f} minutes are over", flush=True)
            continue
        interpreter = Interpreter(python)
        row = interpreter.check(options)
        row["supported"] = minor_of(interpreter.version) in required
        show(row, row["supported"])
        if row["failed"]:
            print(f"          log: {interpreter.log}")
        rows.append(row)
        RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
    return 1 if any(row["failed"] and row["supported"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
