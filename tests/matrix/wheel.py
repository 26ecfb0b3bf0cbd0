#!/usr/bin/env python3
"""A wheel for each interpreter: built, audited, installed in a clean environment and tried.

wheel.py [PYTHON ...]       default: this one. The wheels go to dist/.
"""

import re
import shutil
import subprocess
import sys

from check_pythons import INSIDE, ROOT, Interpreter, copy_tree

TRY = """
import memprof, pathlib, sys
assert "site-packages" in memprof.__file__, memprof.__file__
memprof.start()
kept = [bytes(1000) for _ in range(1000)]
rows = memprof.take_snapshot().statistics("line")
assert rows[0].size >= 1000 * sys.getsizeof(kept[0]), rows[:3]
assert memprof.get_object_traceback(kept[0])[-1].filename == "<string>"
"""


class Wheel(Interpreter):
    """One interpreter's wheel, in build/wheels/VERSION."""

    def __init__(self, python: str) -> None:
        super().__init__(python)
        self.folder = ROOT / "build" / "wheels" / self.version
        self.tree, self.log = self.folder / "tree", self.folder / "log"

    def output_of(self, environment: str, *words: object) -> str:
        command = [self.folder / environment / "bin" / "python", *words]
        done = subprocess.run(
            [self.python, "-c", INSIDE, *map(str, command)],
            cwd=self.folder,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise SystemExit(f"{self.version}: {words} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def make_environment(self, name: str, *packages: object) -> None:
        shutil.rmtree(self.folder / name, ignore_errors=True)
        subprocess.run([self.python, "-m", "venv", self.folder / name], check=True)
        self.output_of(name, "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages)

    def build_wheel(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        self.tree.mkdir(parents=True)
        copy_tree(self.tree)
        self.make_environment("tools", "build", "auditwheel")
        self.output_of("tools", "-m", "build", "--wheel", "-o", self.folder / "out", self.tree)
        (wheel,) = (self.folder / "out").glob("*.whl")
        return wheel

    def audit(self, wheel) -> str:
        """The oldest platform that the wheel fits; it needs nothing but the C library."""
        text = " ".join(self.output_of("tools", "-m", "auditwheel", "show", wheel).split())
        found = re.search(r'platform tag: "(\w+)"', text)
        if not found or "manylinux" not in found[1]:
            raise SystemExit(f"{self.version}: {wheel.name} fits no manylinux platform: {text}")
        return found[1]

    def try_out(self, wheel) -> None:
        self.make_environment("clean", wheel)
        self.output_of("clean", "-c", TRY)
        profile = self.folder / "run.mprof"
        self.output_of("clean", "-m", "memprof", "-q", "-o", profile, "-c", "kept = [0] * 10**6")
        if "<string>:1" not in self.output_of("clean", "-m", "memprof", "show", profile):
            raise SystemExit(f"{self.version}: the profile does not show the program")


def main() -> int:
    (ROOT / "dist").mkdir(exist_ok=True)
    for python in sys.argv[1:] or [sys.executable]:
        wheel = Wheel(python)
        path = wheel.build_wheel()
        platform = wheel.audit(path)
        wheel.try_out(path)
        shutil.copy2(path, ROOT / "dist")
        print(f"{wheel.version:9} {path.name}: fits {platform}, installed and tried", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
