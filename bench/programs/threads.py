"""Threads that allocate at once: threads.py THREADS LOOPS. Prints blocks allocated per second.

Each thread has its own copy of the function, so that on a build without the GIL they share no
object whose reference count they would fight for.
"""

import sys
import threading
import time

WORK = """
def work(loops):
    kept = [None] * 64
    for number in range(loops):
        kept[number & 63] = [number]
        object()
"""
BLOCKS = 3  # of a loop: a list, its items, an object


def main():
    count, loops = int(sys.argv[1]), int(sys.argv[2])
    barrier = threading.Barrier(count + 1)

    def run():
        names = {}
        exec(WORK, names)
        names["work"](1000)
        barrier.wait()
        names["work"](loops)
        barrier.wait()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    barrier.wait()
    began = time.perf_counter()
    barrier.wait()
    print("rate", count * loops * BLOCKS / (time.perf_counter() - began))
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
