"""Imports modules that are named, and ends with a line as pytest's: imports.py MODULE..."""

import importlib
import sys
import time


def main():
    began = time.perf_counter()
    failed = []
    for name in sys.argv[1:]:
        try:
            importlib.import_module(name)
        except ImportError as error:
            failed.append(f"FAILED {name} - {error}")
    print(*failed, sep="\n")
    counts = f"{len(failed)} failed, " if failed else ""
    counts += f"{len(sys.argv) - 1 - len(failed)} passed"
    print(f"{counts} in {time.perf_counter() - began:.2f}s")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
