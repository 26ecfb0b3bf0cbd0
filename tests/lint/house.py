#!/usr/bin/env python3
"""The rules of the house that a script can check. Exit status 1 and a line for each breach.

    house.py [--shrink] [ROOT]

rooms.py: who may include whom. imports.py: the same for the Python package. words.py: words that
belong in one place. headers.py: a .c implements its own header. sizes.py: what has a limit. law.py
has what rooms there are, exceptions.toml what exceeds a limit today. It may only shrink: --shrink
takes out what is not needed any more, and adds nothing.
"""

import sys
from pathlib import Path

import headers
import imports
import rooms
import sizes
import words
from tree import Tree


def main() -> int:
    arguments = [word for word in sys.argv[1:] if word != "--shrink"]
    tree = Tree(Path(*arguments) if arguments else Path(__file__).resolve().parents[2])
    exceptions = tree.root / "tests" / "lint" / "exceptions.toml"
    measures = [*sizes.measure(tree), *words.check(tree), *headers.check(tree)]
    found, listed = sizes.excess(measures), sizes.read(exceptions)
    if "--shrink" in sys.argv:
        listed = sizes.shrunk(found, listed)
        sizes.write(exceptions, listed)
    of_python, circles = imports.check_package(tree.root / "pymod" / "memprof")
    breaches = [*rooms.check(tree), *of_python, *sizes.compare(found, listed)]
    count = sum(map(len, listed.values()))
    print("\n".join(breaches) or f"house: {len(tree.files)} files, {count} exceptions, no breach")
    print(f"circles: {circles}")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
