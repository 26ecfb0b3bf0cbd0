"""Allocate below a call stack of a given depth: depth.py DEPTH BLOCKS. Prints seconds per block.

The frames are those of different functions: memprof folds recursion.
"""

import sys
import time
import types

LEAF = """
def leaf(blocks):
    began = now()
    for _ in range(blocks):
        object()
    return now() - began
"""


def chain(depth):
    names = {"now": time.perf_counter}
    exec(LEAF, names)
    here = names["leaf"]
    for level in range(depth - 2):
        code = compile("def call(blocks):\n    return below(blocks)\n", f"level{level}.py", "exec")
        names = {"below": here}
        exec(code, names)
        here = types.FunctionType(names["call"].__code__, names)
    return here


def main():
    call, blocks = chain(int(sys.argv[1])), int(sys.argv[2])
    call(1000)
    for _ in range(5):
        print("block", call(blocks) / blocks)


if __name__ == "__main__":
    main()
