#!/usr/bin/env python3
"""The extension with asserts, and with whole structures checked where they change (MP_DEBUG=2 of
lib/base/debug.h), and tests of tests/py.

    check_debug.py [short|long] [OPTION OR FILE OF PYTEST ...]

It is built in a copy of the tree, build/debug, for the Python that runs this. What is wrong ends
the process with a line that says where.
"""

import os
import subprocess
import sys

from check_pythons import ROOT, copy_tree
from check_sanitized import find_test

TREE = ROOT / "build" / "debug"
FLAGS = "-O1 -g -DMP_DEBUG=2"
SHORT = [  # not test_coexistence: its forks in a row check all tables each time
    "test_extension_api",
    "test_heap",
    "test_heap_internals",
    "test_heap_wrong_types",
    "test_lines_activations",
    "test_lines_pause",
    "test_snapshot",
    "test_tracing",
]
LEFT_OUT = ["test_bench", "test_headers", "test_linetable", "test_lint"]  # load no extension


def main() -> int:
    rest = sys.argv[1:]
    length = rest.pop(0) if rest[:1] in (["short"], ["long"]) else "long"
    TREE.mkdir(parents=True, exist_ok=True)
    copy_tree(TREE)
    make = ["make", "-s", "ext", f"CFLAGS={FLAGS}", "NDEBUG=", f"PYTHON={sys.executable}"]
    subprocess.run(make, cwd=TREE, check=True)
    words = [*map(find_test, SHORT)] if length == "short" else ["tests/py"]
    if any(word.startswith("tests/") for word in rest):
        words = []
    words += [f"--ignore={find_test(name)}" for name in LEFT_OUT]
    words += [*rest, "-q", "--tb=short", "-p", "no:cacheprovider"]
    path = [str(TREE / "pymod"), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(path), "MEMPROF_PATIENCE": "10"}
    return subprocess.run([sys.executable, "-m", "pytest", *words], cwd=TREE, env=env).returncode


if __name__ == "__main__":
    sys.exit(main())
