#!/usr/bin/env python3
"""The extension under a sanitizer, with asserts, the C allocator and many tests of tests/py.

    check_sanitized.py asan|ubsan|tsan [short|long] [OPTION OR FILE OF PYTEST ...]

The extension is built in a copy of the tree, build/sanitized/KIND, for the Python that runs this;
the sanitizer's runtime is preloaded there, unless that Python was built with the sanitizer itself
(TSan: ./configure --disable-gil --with-thread-sanitizer; then CC must be its compiler). Exit
status 1 when a test fails or a report was made.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
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
    "tsan": "halt_on_error=0:report_signal_unsafe=0:history_size=4:handle_segv=0:die_after_fork=0"
    ":exitcode=0",
}
SHORT = [
    "test_coexistence",
    "test_extension_api",
    "test_lines_activations",
    "test_heap",
    "test_heap_wrong_types",
]
# What makes no sense here, and why.
LEFT_OUT = {
    "test_bench": "goes by the clock or counts instructions",
    "test_headers": "compiles, and does not load the extension",
    "test_linetable": "the same; lib/base/linetable.c has a fuzzer with sanitizers",
    "test_life_embedding": "its program would have to be built so, too",
    "test_own_memory": "the resident memory is the sanitizer's",
    "test_mprof": "the same",
    "test_memory_profiler": "the same",
    "test_real_programs": "nothing that others do not do, for half an hour",
}
# Tests of the rest: RLIMIT_AS is below what sanitizers reserve, preloading is the sanitizer's,
# and a crash is reported by it.
NOT = (
    "not exhausted and not without_memory and not preload and not headers and not faulthandler"
    " and not malloc"
)


def find_test(name: str) -> str:
    (path,) = (ROOT / "tests" / "py").rglob(f"{name}.py")
    return str(path.relative_to(ROOT))


def build(tree: Path, flag: str) -> None:
    flags = f"-O1 -g -fno-omit-frame-pointer -fsanitize={flag}"
    flags += " -fno-sanitize-recover=undefined" if flag == "undefined" else ""
    make = ["make", "-s", "ext", f"CFLAGS={flags}", "NDEBUG=", f"PYTHON={sys.executable}"]
    make += [f"CC={os.environ['CC']}"] if "CC" in os.environ else []
    subprocess.run(make, cwd=tree, check=True)


def runtime_of(library: str, flag: str) -> str:
    """The sanitizer's library, to be preloaded; none where Python has it inside."""
    if f"-fsanitize={flag}" in (sysconfig.get_config_var("PY_LDFLAGS") or ""):
        return ""
    asked = ["gcc", f"-print-file-name={library}"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()


def environment(kind: str, tree: Path, reports: Path) -> dict[str, str]:
    flag, library, variable = KINDS[kind]
    options = f"{OPTIONS[kind]}:log_path={reports / 'report'}"
    if kind == "tsan":
        options += f":suppressions={ROOT / '.ci' / 'tsan_suppressions'}"
    runtime = runtime_of(library, flag)
    env = os.environ | {variable: options, "MEMPROF_SANITIZER": kind, "MEMPROF_PATIENCE": "10"}
    env["PYTHONMALLOC"] = "malloc"
    path = [str(tree / "pymod"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    env |= {"PYTHONPATH": os.pathsep.join(filter(None, path)), "LD_PRELOAD": runtime}
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        del env["PYTHONMALLOC"]  # it has mimalloc only
    return env


def main() -> int:
    kind, *rest = sys.argv[1:]
    length = rest.pop(0) if rest[:1] in (["short"], ["long"]) else "long"
    tree = ROOT / "build" / "sanitized" / kind
    reports = tree / "build" / "reports"
    shutil.rmtree(reports, ignore_errors=True)
    reports.mkdir(parents=True)
    copy_tree(tree)
    build(tree, KINDS[kind][0])
    words = [word for word in rest if word.startswith("tests/")]
    if not words:
        words = [*map(find_test, SHORT)] if length == "short" else ["tests/py"]
        words += [f"--ignore={find_test(name)}" for name in LEFT_OUT] + ["-k", NOT]
    words += [word for word in rest if not word.startswith("tests/")]
    words += ["-q", "--tb=short", "-p", "no:cacheprovider", "-p", "no:memprof"]
    env = environment(kind, tree, reports)
    status = subprocess.run([sys.executable, "-m", "pytest", *words], cwd=tree, env=env).returncode
    return show_reports(reports, kind) or status


def is_ours(report: str) -> bool:
    """A report that names the extension at one of its two innermost frames: a Python that was
    built with the sanitizer has reports of its own."""
    return any(re.match(r" +#[01] .*(_core\.|memprof)", line) for line in report.splitlines())


def show_reports(folder: Path, kind: str) -> int:
    """Print what the sanitizer has written of the extension; each kind of it once."""
    seen, others = set(), 0
    for file in sorted(folder.iterdir()):
        for text in re.split("(?<=\n)=+\n", file.read_text(errors="replace")):
            lines = text.strip().splitlines()
            summary = next(
                (line for line in lines if line.startswith("SUMMARY")), "".join(lines[:1])
            )
            if summary and kind == "tsan" and not is_ours(text):
                others += 1
            elif summary and summary not in seen:
                seen.add(summary)
                print(text)
    print(f"{len(seen)} different reports of the extension, {others} of others, in {folder}")
    return 1 if seen else 0


if __name__ == "__main__":
    sys.exit(main())
