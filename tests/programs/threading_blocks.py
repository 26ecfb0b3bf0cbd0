"""Eight threads allocate a known number of blocks at once, and keep some."""

import threading

THREADS, BLOCKS, SIZE = 8, 1000, 500
kept = []
together = threading.Barrier(THREADS)


def keep_one():
    return bytes(SIZE)


def drop_one():
    bytes(SIZE)


def keep(mine):
    together.wait()
    for _ in range(BLOCKS):
        mine.append(keep_one())
        drop_one()


lists = [[] for _ in range(THREADS)]
threads = [threading.Thread(target=keep, args=(mine,)) for mine in lists]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(sum(len(mine) == BLOCKS for mine in lists), "threads over")
