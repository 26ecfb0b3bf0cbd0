#!/usr/bin/env python3
"""CPython's own regression tests, plainly and under memprof: the same verdicts?

    check_cpython.py [--tests LIST] [--minutes N] [--memprof OPTIONS] [PYTHON ...]

LIST is short, middle, usual, all, or names of test modules. Each module runs twice in processes
of its own, as `python -m test -v NAME` and as `python -m memprof -q -m test -v NAME`, both at once.
A module with differences is run once more, one after the other: a test differs when it does so
both times. A module that does not come to its end plainly is not judged. A row is printed for each.
Exit status 1 when a test differs that .ci/cpython_exceptions does not list.
"""

import argparse
import contextlib
import fnmatch
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as xml
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from check_pythons import INSIDE, ROOT, Interpreter, copy_tree, minor_of

SHORT = """atexit coroutines dict exceptions faulthandler frame gc generators json list pickle re
    set sys_settrace thread weakref"""
MIDDLE = (
    SHORT
    + """ asyncgen asyncio capi concurrent_futures contextlib ctypes finalization fork1
    functools import inspect interpreters itertools marshal memoryview monitoring
    multiprocessing_fork multiprocessing_spawn opcache queue signal subprocess super sys
    sys_setprofile threading threading_local traceback tracemalloc typing"""
)
USUAL = (
    MIDDLE
    + """ _interpreters __xxsubinterpreters _xxsubinterpreters array ast audit bdb buffer builtin
    bytes class code codecs collections compile context copy cprofile dataclasses datetime decimal
    deque descr dis embed enum except_star external_inspection fileio float fractions
    free_threading generator_stop grammar hashlib heapq importlib int io iter largefile
    lazy_import listcomps logging long mailbox memoryio mmap module multiprocessing_forkserver
    opcodes operator ordered_dict os pathlib patma pdb peepholer perf_profiler pickletools posix
    profile pyexpat regrtest repl richcmp runpy sax scope select selectors shelve shutil site
    slice socket sort sqlite3 ssl stable_abi_ctypes str struct structseq subclassinit support
    symtable tempfile threadedtempfile threadsignals time trace tuple type_annotations
    type_aliases type_cache type_params types unicode unittest unpack userdict venv warnings
    weakset with wsgiref xml_etree xml_etree_c zipfile zipimport zlib"""
)
ASK = """import pkgutil, test
print(*(m.name for m in pkgutil.iter_modules(test.__path__) if m.name.startswith("test_")))"""
PASSED = "passed"
MOST = 10  # differences of a module that are shown


class Subject(Interpreter):
    """One interpreter, its tests and the tree as it is now, in build/cpython/VERSION."""

    def __init__(self, python: str) -> None:
        super().__init__(python)
        self.folder = ROOT / "build" / "cpython" / self.version
        self.tree, self.log = self.folder / "tree", self.folder / "log"

    def build(self) -> bool:
        self.tree.mkdir(parents=True, exist_ok=True)
        self.log.write_text("")
        copy_tree(self.tree)
        venv = self.folder / "venv"
        if not (venv / "bin" / "python").is_symlink() and self.start(
            [self.python, "-m", "venv", str(venv)]
        ):
            return False
        install = ("-m", "pip", "install", "-q", "--disable-pip-version-check")
        return not self.run(*install, "setuptools>=77", "wheel") and not self.run(
            *install, "--no-build-isolation", "--no-deps", "-e", "."
        )

    def names(self) -> list[str]:
        done = subprocess.run([self.python, "-c", ASK], capture_output=True, text=True)
        return done.stdout.split()

    def verdicts(self, name: str, how: str, memprof: list[str], minutes: float) -> "Verdicts":
        """Run one module of tests; `how` names the folder that is left behind."""
        folder = self.folder / "runs" / name / how
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        report = folder / "report.xml"
        words = [*memprof, "-m", "test", "-v", f"--timeout={minutes * 60 - 10:.0f}"]
        words += [f"--junit-xml={report}", f"--tempdir={folder}", name]
        python = str(self.folder / "venv" / "bin" / "python")
        began = time.monotonic()
        status = run_for(minutes, [self.python, "-c", INSIDE, python, *words], folder)
        return Verdicts(report, status, time.monotonic() - began)


def run_for(minutes: float, words: list[str], folder: Path) -> int | str:
    """The exit status of a command, or "time is over"."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            words,
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return process.wait(minutes * 60)
        except subprocess.TimeoutExpired:
            return "time is over"
        finally:  # what a test has left behind goes with it
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class Verdicts:
    """What one run has said: the exit status and the verdict of each test."""

    def __init__(self, report: Path, status: int | str, seconds: float) -> None:
        self.status, self.seconds, self.tests = status, seconds, {}
        for case in xml.parse(report).iter("testcase") if has_text(report) else ():
            child = next((c for c in case if c.tag in ("error", "failure", "skipped")), None)
            verdict = PASSED if child is None else {"error": "failure"}.get(child.tag, child.tag)
            name = (case.get("name") or "nameless").removeprefix("test.").split(" ")[0]
            if verdict != PASSED or name not in self.tests:  # subtests: the worst
                self.tests[name] = verdict

    def __str__(self) -> str:
        return f"{sum(v == PASSED for v in self.tests.values())}/{len(self.tests)} {self.status}"


def has_text(report: Path) -> bool:
    return report.exists() and report.stat().st_size > 0


def differences(plain: Verdicts, traced: Verdicts) -> dict[str, str]:
    """Test → how its verdicts differ; the module's status counts as a test's."""
    names = plain.tests.keys() | traced.tests.keys()
    found = {}
    for name in sorted(names):
        one, other = plain.tests.get(name, "absent"), traced.tests.get(name, "absent")
        if one != other:
            found[name] = f"{one} plainly, {other} under memprof"
    if plain.status != traced.status:
        found["status"] = f"{plain.status} plainly, {traced.status} under memprof"
    return found


def exceptions(version: str) -> dict[str, str]:
    """Pattern of tests' names → why they may differ: VERSIONS PATTERN  # reason."""
    lines = (ROOT / ".ci" / "cpython_exceptions").read_text().splitlines()
    result = {}
    for line in lines:
        words, _, reason = line.partition("#")
        minors, _, pattern = words.strip().partition(" ")
        if pattern and (minors == "*" or version in minors.split(",")):
            result[pattern.strip()] = reason.strip()
    return result


class Comparison:
    """Of one interpreter; counts what differs without being excepted."""

    def __init__(self, subject: Subject, options: argparse.Namespace) -> None:
        self.subject, self.minutes = subject, options.minutes
        self.memprof = ["-m", "memprof", "-q", *shlex.split(options.memprof)]
        self.excepted = exceptions(minor_of(subject.version))
        self.bad = self.tests = 0

    def both(self, name: str, turn: str, at_once: int) -> list[Verdicts]:
        with ThreadPoolExecutor(at_once) as pool:
            ways = (("plain" + turn, []), ("traced" + turn, self.memprof))
            runs = [
                pool.submit(self.subject.verdicts, name, how, words, self.minutes)
                for how, words in ways
            ]
            return [run.result() for run in runs]

    def compare(self, name: str) -> None:
        plain, traced = self.both(name, "", 2)
        found = differences(plain, traced)
        reasons = {test: self.reason(name, test, found) for test in found}
        unsteady = []
        if not all(reasons.values()):
            plain, traced = self.both(name, "-again", 1)
            again = differences(plain, traced)
            unsteady = [test for test in found if not reasons[test] and test not in again]
            found = {test: text for test, text in found.items() if test not in unsteady}
        if not plain.tests:
            found, unsteady = {}, []
        self.tests += len(plain.tests)
        self.show(name, plain, traced, found=found, reasons=reasons, unsteady=unsteady)

    def reason(self, name: str, test: str, found: dict[str, str]) -> str | None:
        """Why it may differ. A module's status may when all else that differs may."""
        if test == "status" and len(found) > 1:
            rest = [self.reason(name, other, found) for other in found if other != "status"]
            if all(rest):
                return "as its tests"
        full = f"{name}.{test}" if test == "status" else test
        return next((r for p, r in self.excepted.items() if fnmatch.fnmatchcase(full, p)), None)

    def show(self, name, plain, traced, *, found, reasons, unsteady) -> None:
        bad = [test for test in found if not reasons[test]]
        self.bad += len(bad)
        times = f"{plain.seconds:4.0f} s {traced.seconds:4.0f} s"
        end = "DIFFERENT" if bad else "same, with exceptions" if found else "same"
        end = end if plain.tests else "not judged"
        print(
            f"{self.subject.version:9} {name:32} {plain!s:>15} {traced!s:>15} {times}  {end}",
            flush=True,
        )
        for test in list(found)[:MOST]:
            print(
                f"    {'exception' if reasons[test] else 'DIFFERENT'}: {test}: {found[test]}"
                + (f"  ({reasons[test]})" if reasons[test] else ""),
                flush=True,
            )
        if len(found) > MOST:
            print(f"    and {len(found) - MOST} more", flush=True)
        for test in unsteady[:MOST]:
            print(f"    unsteady: {test}: different once, not again", flush=True)


def chosen(words: str, there: list[str]) -> list[str]:
    """Names of test modules that this Python has."""
    if words == "all":
        return there
    sets = {"short": SHORT, "middle": MIDDLE, "usual": USUAL}
    names = " ".join(sets.get(word, word) for word in words.replace(",", " ").split()).split()
    names = dict.fromkeys(names)
    wanted = [name if name.startswith("test_") else f"test_{name}" for name in names]
    return [name for name in wanted if name in there]


def check(python: str, options: argparse.Namespace) -> bool:
    subject = Subject(python)
    names = chosen(options.tests, subject.names())
    if not names:
        print(f"{subject.version:9} has none of these tests", flush=True)
        return False
    if not subject.build():
        print(f"{subject.version:9} does not build; see {subject.log}", flush=True)
        return False
    print(
        f"{'Python':9} {'tests passed/all, status':>48} {'memprof':>15}  plain memprof", flush=True
    )
    comparison = Comparison(subject, options)
    for name in names:
        comparison.compare(name)
    counts = f"{len(names)} modules, {comparison.tests} tests, {comparison.bad} different"
    print(f"{subject.version:9} {counts}", flush=True)
    return comparison.bad == 0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--tests", default="usual")
    parser.add_argument("--minutes", type=float, default=10, help="for a module, each way")
    parser.add_argument("--memprof", default="", help="more options of memprof")
    parser.add_argument("pythons", nargs="*", default=[sys.executable])
    options = parser.parse_args()
    verdicts = [check(python, options) for python in options.pythons]
    return 0 if all(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
