#!/usr/bin/env python3
"""The extension under a sanitizer, with asserts, the C allocator and many tests of tests/py.

    check_sanitized.py asan|ubsan|tsan [short|long] [OPTION OF PYTEST ...]

The extension is built in a copy of the tree, build/sanitized/KIND, for the Python that runs this;
the sanitizer's runtime is preloaded there. Exit status 1 when a test fails or a report was made.
"""

import os
import subprocess
import sys
from pathlib import Path

from check_pythons import ROOT, copy_tree

KINDS = {
    "asan": ("address", "libasan.so", "ASAN_OPTIONS"),
    "ubsan": ("undefined", "libubsan.so", "UBSAN_OPTIONS"),
    "tsan": ("thread", "libtsan.so", "TSAN_OPTIONS"),
}
OPTIONS = {
    "asan": "detect_leaks=0:allocator_may_return_null=1:handle_segv=0:handle_abort=0",
    "ubsan": "print_stacktrace=1:halt_on_error=1",
    "tsan": "halt_on_error=0:report_signal_unsafe=0:history_size=4:handle_segv=0:die_after_fork=0",
}
SHORT = ["coexistence", "extension_api", "tracing", "lines_activations"]
# What makes no sense here, and why.
LEFT_OUT = {
    "test_bench": "goes by the clock or counts instructions",
    "test_budget": "the same",
    "test_headers": "compiles without the extension",
    "test_linetable": "compiles without the extension; has a fuzzer with sanitizers",
    "test_pretraced": "preloads",
}


def main() -> int:
    kind, *rest = sys.argv[1:]
    length = rest.pop(0) if rest[:1] in (["short"], ["long"]) else "long"
    flag, runtime, variable = KINDS[kind]
    tree = ROOT / "build" / "sanitized" / kind
    tree.mkdir(parents=True, exist_ok=True)
    copy_tree(tree)
    flags = f"-O1 -g -fno-omit-frame-pointer -fsanitize={flag} -fno-sanitize-recover=undefined"
    make = ["make", "-s", "ext", f"CFLAGS={flags}", "NDEBUG=", f"PYTHON={sys.executable}"]
    subprocess.run(make, cwd=tree, check=True)
    preload = subprocess.run(
        ["gcc", f"-print-file-name={runtime}"], capture_output=True, text=True, check=True
    ).stdout.strip()
    reports = tree / "build" / "reports"
    reports.mkdir(parents=True, exist_ok=True)
    for old in reports.iterdir():
        old.unlink()
    options = f"{OPTIONS[kind]}:log_path={reports / 'report'}"
    if kind == "tsan":
        options += f":suppressions={ROOT / '.ci' / 'tsan_suppressions'}"
    env = os.environ | {
        variable: options, "MEMPROF_SANITIZER": preload, "LD_PRELOAD": preload,
        "PYTHONMALLOC": "malloc", "PYTHONPATH": str(tree / "pymod"),
    }  # fmt: skip
    tests = [f"tests/py/test_{name}.py" for name in SHORT] if length == "short" else ["tests/py"]
    words = [*tests, "-q", "--tb=short", "-p", "no:cacheprovider", "-p", "no:memprof"]
    words += [f"--ignore=tests/py/{name}.py" for name in LEFT_OUT]
    status = subprocess.run([sys.executable, "-m", "pytest", *words, *rest], cwd=tree, env=env).returncode
    return show_reports(reports) or status


def show_reports(reports: Path) -> int:
    """Print what the sanitizer has written; each kind of it once."""
    seen = set()
    for report in sorted(reports.iterdir()):
        text = report.read_text(errors="replace")
        summary = next((line for line in text.splitlines() if line.startswith("SUMMARY")), text)
        if summary not in seen:
            print(text)
        seen.add(summary)
    print(f"{len(seen)} different reports in {reports}" if seen else "no report of the sanitizer")
    return 1 if seen else 0


if __name__ == "__main__":
    sys.exit(main())
