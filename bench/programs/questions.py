"""Time of the questions that are asked of a trace: questions.py {memprof,tracemalloc} BLOCKS TIMES.

The blocks come from 500 functions. Prints a line `WHAT SECONDS` for each time: a snapshot, its
statistics by line, a comparison with the snapshot before; and for memprof `pause`, the longest
time for which a second thread did not run during a snapshot.
"""

import gc
import sys
import threading
import time

FUNCTIONS = 500
BY_LINE = {"memprof": "line", "tracemalloc": "lineno"}
MAKE = "def make(count):\n    return [object() for _ in range(count)]\n"


def fill(blocks):
    kept = []
    for number in range(FUNCTIONS):
        names = {}
        exec(compile(MAKE, f"module{number}.py", "exec"), names)
        kept.append(names["make"](blocks // FUNCTIONS))
    return kept


def timed(what, function, *arguments):
    began = time.perf_counter()
    result = function(*arguments)
    print(what, time.perf_counter() - began, flush=True)
    return result


def ask(tool, times):
    before = tool.take_snapshot()
    for _ in range(times):
        after = timed("snapshot", tool.take_snapshot)
        timed("statistics", after.statistics, BY_LINE[tool.__name__])
        timed("compare", after.compare_to, before, BY_LINE[tool.__name__])
        before = after


class Ticker:
    """A thread that notes the longest time between two of its steps."""

    def __init__(self):
        self.longest = 0.0
        self.going = True
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        last = time.perf_counter()
        while self.going:
            now = time.perf_counter()
            if now - last > self.longest:
                self.longest = now - last
            last = now

    def longest_during(self, function):
        time.sleep(0.05)
        self.longest = 0.0
        function()
        time.sleep(0.02)
        return self.longest


def pauses(tool, times):
    """The thread that asks holds the GIL for at most a switch interval more than it needs."""
    sys.setswitchinterval(0.0005)
    ticker = Ticker()
    for _ in range(times):
        print("pause", ticker.longest_during(tool.take_snapshot), flush=True)
        print("no_pause", ticker.longest_during(lambda: time.sleep(0.005)), flush=True)
    ticker.going = False
    ticker.thread.join()


def main():
    name, blocks, times = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    tool = __import__(name)
    tool.start()
    kept = fill(blocks)
    gc.freeze()
    ask(tool, times)
    if name == "memprof":
        pauses(tool, times)
    del kept


if __name__ == "__main__":
    main()
