"""Uses tracemalloc for a part of its run, and keeps blocks from each part."""

import tracemalloc

kept = []


def before():
    kept.append([bytearray(5000) for _ in range(100)])


def during():
    kept.append([bytearray(5000) for _ in range(100)])


def after():
    kept.append([bytearray(5000) for _ in range(50)])


before()
tracemalloc.start(2)
during()
largest = tracemalloc.take_snapshot().statistics("lineno")[0]
print(largest.traceback[0].lineno, largest.size >= 500_000)
print(tracemalloc.get_object_traceback(kept[-1][0]))
tracemalloc.stop()
after()
print("kept", len(kept[1]))
