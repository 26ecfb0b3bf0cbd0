"""A virtual environment for benchmarks: memprof of this tree, pyperformance, other profilers.

It belongs to the interpreter that runs this file, and is kept in build/ (bench-venv-3.14 and so
on). What does not install is left out of the benchmarks with one line that says why.
"""

from __future__ import annotations

import json
import os
import platform
import re
import signal
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PIP_SECONDS = 600  # for one package; some are compiled where there is no wheel

VERSIONS = """import importlib.metadata, json
print(json.dumps({d.metadata["Name"].lower().replace("_", "-"): d.version
                  for d in importlib.metadata.distributions()}))"""


def tag() -> str:
    """Short name of the running interpreter: 3.14, or 3.13t when it is free-threaded."""
    free = sysconfig.get_config_var("Py_GIL_DISABLED")
    return f"{sys.version_info[0]}.{sys.version_info[1]}{'t' if free else ''}"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def cpu_model() -> str:
    try:
        found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.machine()


def warn_when_busy() -> float:
    """The load of the machine."""
    load = os.getloadavg()[0]
    if load > 1:
        say(f"the machine is busy (load {load:.1f}): quote ratios with their spread, never seconds")
    return load


class TooLong(Exception):
    """A process was ended because it took too long."""


def run(command: list[str], folder: str, seconds: float) -> subprocess.CompletedProcess:
    """Run to the end, or end it with all its children: some profilers start the program as one."""
    with subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, errors = process.communicate(timeout=seconds)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            if isinstance(error, subprocess.TimeoutExpired):
                raise TooLong(f"took more than {seconds:.0f} s") from None
            raise
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


@dataclass
class Environment:
    """The virtual environment of the running interpreter."""

    folder: Path = field(default_factory=lambda: ROOT / "build" / f"bench-venv-{tag()}")
    missing: dict[str, str] = field(default_factory=dict)
    """Package -> why it could not be installed."""

    @property
    def python(self) -> str:
        return str(self.folder / "bin" / "python")

    def create(self) -> None:
        """An empty one, where there is none yet."""
        if not (self.folder / "bin" / "python").exists():
            say(f"making {self.folder.relative_to(ROOT)}")
            venv.create(self.folder, with_pip=True, symlinks=True)

    def make(self) -> None:
        """Create it where it is not there yet, with memprof as it is in this tree now."""
        self.create()
        for packages in (["setuptools>=77", "wheel"], ["pyperformance", "pyperf", "psutil"]):
            if problem := self.pip(*packages):
                sys.exit(f"bench: cannot install {' '.join(packages)}: {problem}")
        problem = self.pip("--no-build-isolation", "--no-deps", "--force-reinstall", str(ROOT))
        if problem := problem or self.pip("rich"):
            sys.exit(f"bench: memprof cannot be installed: {problem}")

    def add(self, package: str) -> bool:
        """Install a package that the benchmarks can do without."""
        if self.version(package) is None and package not in self.missing:
            if problem := self.pip(package):
                self.missing[package] = problem
                say(f"left out: {package} does not install: {problem}")
        return package not in self.missing

    def pip(self, *what: str) -> str | None:
        """Install; None, or the last line of what went wrong."""
        return self._pip("install", "--prefer-binary", *what)

    def download(self, requirement: str, folder: Path) -> str | None:
        """The source archive of one distribution into a folder; the result is as pip()'s."""
        name = requirement.partition("==")[0]
        only = ("--no-deps", "--no-binary", name)
        return self._pip("download", *only, "-d", str(folder), requirement)

    def _pip(self, *words: str) -> str | None:
        command = [self.python, "-m", "pip", "-q", "--disable-pip-version-check", *words]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PIP_SECONDS)
        except subprocess.TimeoutExpired:
            return f"took more than {PIP_SECONDS} s"
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        return ((lines or [done.stderr.strip() or "?"])[-1])[:160] if done.returncode else None

    def versions(self) -> dict[str, str]:
        """Distribution -> version of all that is installed."""
        done = subprocess.run([self.python, "-c", VERSIONS], capture_output=True, text=True)
        return json.loads(done.stdout)

    def version(self, package: str) -> str | None:
        return self.versions().get(package.lower().replace("_", "-"))

    def benchmarks(self) -> Path:
        """The folder of pyperformance's benchmark scripts."""
        code = "import pyperformance, os; print(os.path.dirname(pyperformance.__file__))"
        done = subprocess.run([self.python, "-c", code], capture_output=True, text=True, check=True)
        return Path(done.stdout.strip()) / "data-files" / "benchmarks"


def describe(environment: Environment) -> dict[str, object]:
    """Where and with what a run was made."""
    names = (
        "memprof-tracer",
        "pyperformance",
        "pyperf",
        "memray",
        "scalene",
        "filprofiler",
        "memory-profiler",
    )
    installed = environment.versions()
    return {
        "python": sys.version.split()[0] + ("t" if tag().endswith("t") else ""),
        "compiler": platform.python_compiler(),
        "machine": f"{cpu_model()}, {os.cpu_count()} cores",
        "packages": {name: installed[name] for name in names if name in installed},
        "missing": environment.missing,
    }
