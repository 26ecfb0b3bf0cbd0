"""Threads, forks, starts, stops and snapshots for a long time: soak.py SECONDS

After each round, with all threads at rest, live entries must equal tallies (_core.check), and
memprof's own memory must not grow. A line every ten seconds; exit status 1 when it does.
"""

import gc
import os
import random
import sys
import threading
import time
import traceback
import warnings

import memprof
from memprof import _core

SLACK = 2_000_000  # bytes of memprof's own that the last rounds may have above the first ones


def storm(chance: random.Random) -> list:
    n = chance.randrange(20, 400)
    kept = [bytearray(size * 3) for size in range(n)] + [object() for _ in range(n)]
    kept += [{i: str(i)} for i in range(n)] + [(n,) * 30, set(range(n)), bytes(n * 5000)]
    # a bounded number of different stacks: else the depot grows, as it should
    exec(
        compile(
            f"def f{n % 20}(): return [bytes(2000)]\nkept.append(f{n % 20}())", "made.py", "exec"
        ),
        {"kept": kept},
    )
    del kept[:: chance.randrange(1, 5)]
    return kept


def in_threads(count: int, seed: int) -> None:
    threads = [
        threading.Thread(
            target=lambda seed=seed + n: [storm(random.Random(seed)) for _ in range(5)]
        )
        for n in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def settle() -> None:
    """Before 3.13 join() comes back while the thread is still freeing."""
    deadline = time.monotonic() + 5
    while (why := _core.check()) and time.monotonic() < deadline:
        time.sleep(0.001)
    assert why is None, why


def fork(seed: int) -> None:
    """In the child too all must be right."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            kept = storm(random.Random(seed))
            in_threads(2, seed)
            settle()
            memprof.take_snapshot().statistics("stack")
            memprof.stop()
            memprof.start()
            kept += storm(random.Random(seed))
            settle()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0, "a child failed"


def play(number: int, kept: list) -> None:
    chance = random.Random(number)
    kept.append(storm(chance))
    in_threads(chance.randrange(1, 6), number)
    if number % 3 == 0:
        fork(number)
    if number % 4 == 0:
        snapshot = memprof.take_snapshot()
        snapshot.compare_to(memprof.take_snapshot(), "line")
        assert sum(row.size for row in snapshot.statistics("stack")) == snapshot.traced_memory[0]
    if number % 7 == 0:
        memprof.clear()
    if number % 10 == 0:
        memprof.stop()
        memprof.start(series=number % 20 == 0)
    del kept[: max(len(kept) - 5, 0)]
    gc.collect()
    settle()
    assert _core.lost() == 0, _core.lost()


def main() -> int:
    warnings.simplefilter("ignore", DeprecationWarning)  # of fork() with threads
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3600.0
    began = said = time.monotonic()
    kept, own, number = [], [], 0
    memprof.start()
    while (now := time.monotonic()) - began < seconds:
        number += 1
        play(number, kept)
        own.append(memprof.get_tracer_memory())
        if now - said > 10:
            said = now
            print(
                f"{now - began:6.0f} s: {number} rounds, {own[-1]:,} bytes of memprof's own",
                flush=True,
            )
    third = len(own) // 3
    first, last = max(own[third : 2 * third]), max(own[2 * third :])
    print(f"{number} rounds, memprof's own memory at most {first:,} and then {last:,} bytes")
    return 1 if last - first > SLACK else 0


if __name__ == "__main__":
    sys.exit(main())
