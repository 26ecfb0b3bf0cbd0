#!/usr/bin/env python3
"""The whole suite on each of several interpreters; a row for each.

    check_pythons.py [PYTHON ...]      default: what tests/matrix/pythons can provide

For each interpreter the tree is copied to build/pythons/VERSION/tree, the extension is built
there in a virtual environment of its own, and pytest runs with the options that
MEMPROF_PYTEST adds. The rows go to build/pythons.json as well, which tests/matrix/python_table.py
turns into the table of the README.

Exit status 1 when a version of .ci/supported is not green. One that cannot be had (no mirror, not
root) or for which no time is left is shown as not run, last, and fails only with MEMPROF_ALL=1:
the machine is at fault then, not the tree. Without that only the newest of each minor version is
run of what can be provided. MEMPROF_END: time (seconds since 1970) at which all must
be over; without it there is no end. The suite on one interpreter has MINUTES.
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

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "pythons"
RESULTS = ROOT / os.environ.get("MEMPROF_RESULTS", "build/pythons.json")
END = float(os.environ.get("MEMPROF_END", "inf"))
LEAST_MINUTES = 5  # with less time left no further one is begun
OWN_REPORT = os.environ.get("MEMPROF_OWN_REPORT")  # of pytest on the Python that runs this
WELCOME = ("greenlet", "gevent", "coverage")  # some tests need them, where they can be had
MINUTES = 20  # for the suite on one interpreter
PROVIDE_MINUTES = 25
ASK = """import sys, sysconfig
threads = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
print(".".join(map(str, sys.version_info[:3])) + threads)"""
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


def patch_of(version: str) -> int:
    return int(version.rstrip("t").split(".")[2])


def seconds_left(minutes: float) -> float:
    """At most so many minutes, and not beyond the end."""
    return max(min(60 * minutes, END - time.time()), 1)


def provide() -> tuple[list[str], str]:
    """What tests/matrix/pythons has found or made when its time is over, and what it said."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    said = FOLDER / "provide.log"
    with (
        said.open("w") as log,
        subprocess.Popen(
            [ROOT / "tests" / "matrix" / "pythons"],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        try:
            found = process.communicate(timeout=seconds_left(PROVIDE_MINUTES))[0]
        except subprocess.TimeoutExpired as error:
            log.write("tests/matrix/pythons: not done in its time\n")
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            found = (error.stdout or b"").decode()
    print(said.read_text(), end="", flush=True)
    return [line.split("\t")[1] for line in found.splitlines() if "\t" in line], said.read_text()


def why_not(version: str, said: str) -> str:
    """Why tests/matrix/pythons has not provided a version: the last it said of it, or at all."""
    lines = [line for line in said.splitlines() if not line.startswith(" ")] or ["nothing was said"]
    about = [line for line in lines if version.rstrip("t") in line and "no " in line]
    return "not available: " + (about or lines)[-1].removeprefix("pythons: ")


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
                words,
                cwd=self.tree,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                return process.wait(seconds_left(MINUTES))
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
            return row | read_report(ROOT / OWN_REPORT, 0, set())
        row = {"version": self.version, "python": self.python, "failures": ["does not build"]}
        row |= {"passed": 0, "failed": 1, "skipped": {}, "expected": {}}
        if self.build():
            report.unlink(missing_ok=True)
            status = self.test(report, *options)
            row |= read_report(report, status, known_failures(minor_of(self.version)))
        row["seconds"] = round(time.monotonic() - began)
        return row

    def test(self, report: Path, *options: str) -> int:
        return self.run(
            "-m",
            "pytest",
            "tests/py",
            "-q",
            "--tb=short",
            "-o",
            f"cache_dir={self.folder / 'cache'}",
            "-o",
            "faulthandler_timeout=300",
            f"--junitxml={report}",
            *options,
        )


def name_of(case: xml.Element) -> str:
    return f"{case.get('classname').removeprefix('tests.py.')}::{case.get('name')}"


def read_report(report: Path, status: int, known: set[str]) -> dict:
    """Counts of pytest's report; a suite that did not end has failed."""
    row = {"passed": 0, "failures": []}
    skipped, expected = Counter(), Counter()
    for case in xml.parse(report).iter("testcase") if report.exists() else ():
        outcome = next(
            (child for child in case if child.tag in ("failure", "error", "skipped")), None
        )
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


def show(row: dict, required: bool) -> None:
    counts = (
        f"{row['passed']} passed, {row['failed']} failed, {sum(row['skipped'].values())} skipped"
    )
    known = sum(row["expected"].values())
    counts += f", {known} known to fail" if known else ""
    verdict = (
        "ok" if not row["failed"] else "FAILED" if required else "failed (not in .ci/supported)"
    )
    print(f"{row['version']:9} {counts}, {row['seconds']} s: {verdict}", flush=True)
    for what in ("skipped", "expected"):
        for reason, count in row[what].items():
            print(f"          {what} {count}: {reason}")
    for name in row["failures"]:
        print(f"          failed: {name}")
    sys.stdout.flush()


def show_not_run(not_run: dict[str, str]) -> None:
    for version, reason in not_run.items():
        print(f"{version:9} NOT RUN, {reason}", flush=True)


def newest_of_each(pythons: list[str]) -> tuple[list[str], dict[str, str]]:
    """Of each minor version the newest Python; the others, with the version that is run."""
    versions = {python: Interpreter(python).version for python in pythons}
    newest: dict[str, str] = {}
    for python, version in versions.items():
        other = newest.get(minor_of(version))
        if other is None or patch_of(version) > patch_of(versions[other]):
            newest[minor_of(version)] = python
    left = [version for python, version in versions.items() if python not in newest.values()]
    return list(newest.values()), {
        version: f"{versions[newest[minor_of(version)]]} is (all with MEMPROF_ALL=1)"
        for version in left
    }


def check_all(pythons: list[str], required: set[str]) -> tuple[list[dict], dict[str, str]]:
    """The rows, and the versions that were not run with the reason."""
    options = shlex.split(os.environ.get("MEMPROF_PYTEST", ""))
    rows, not_run = [], {}
    for python in pythons:
        interpreter = Interpreter(python)
        minor = minor_of(interpreter.version)
        row = None
        if END - time.time() > 60 * LEAST_MINUTES:
            row = interpreter.check(options)
        if row is None or (row["failed"] and time.time() >= END):  # stopped, not failed
            not_run[minor] = "no time is left"
            continue
        row["supported"] = minor in required
        show(row, row["supported"])
        if row["failed"]:
            print(f"          log: {interpreter.log}")
        rows.append(row)
        RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
    return rows, not_run


def main() -> int:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's & had it ignored
    required, named = supported(), sys.argv[1:]
    pythons, said = (named, "") if named else provide()
    all_of_them, left_out = os.environ.get("MEMPROF_ALL") == "1", {}
    if not named and not all_of_them:
        pythons, left_out = newest_of_each(pythons)
    rows, not_run = check_all(pythons, required)
    if not named:
        seen = {minor_of(row["version"]) for row in rows} | not_run.keys()
        not_run |= {version: why_not(version, said) for version in sorted(required - seen)}
    show_not_run(left_out | not_run)
    missing = all_of_them and bool(required & not_run.keys())
    return 1 if missing or any(row["failed"] and row["supported"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
