"""Programs of several processes: ``forking.py NAME [PROFILE]``.

Every process allocates a known amount: the parent in keep_in_parent(), a child in
keep_in_child().
"""

import concurrent.futures
import multiprocessing
import os
import signal
import sys
import threading
import time

KEPT = []


def keep_in_parent():
    KEPT.append([bytes(1000) for _ in range(1000)])


def keep_in_child(_=None):
    KEPT.append([bytearray(2000) for _ in range(500)])
    return os.getpid()


def fork(child):
    """Run child() in a child and print how it ended."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        child()
        print("child over")
        sys.exit(3)
    print("child ended with", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def wait_for_rewrites(path, times=2):
    """Until a file has been written anew so many times."""
    end = time.monotonic() + 120
    seen, changes = None, 0
    while changes <= times and time.monotonic() < end:
        if os.path.exists(path):
            now = os.stat(path).st_mtime_ns
            changes += now != seen
            seen = now
        time.sleep(0.01)


def child_that_exits():
    keep_in_parent()
    fork(keep_in_child)


def child_that_fails():
    keep_in_parent()

    def child():
        keep_in_child()
        raise ValueError("in the child")

    fork(child)


def child_that_is_killed():
    """Not before it has written its profile."""
    keep_in_parent()

    def child():
        keep_in_child()
        wait_for_rewrites(f"{sys.argv[2]}.{os.getpid()}")
        os.kill(os.getpid(), signal.SIGKILL)

    fork(child)


def child_of_a_child():
    keep_in_parent()

    def child():
        fork(keep_in_child)

    fork(child)


def fork_among_threads():
    """Threads allocate while the process forks, again and again."""
    keep_in_parent()
    running = True

    def work():
        while running:
            for size in range(1, 2000, 13):
                bytearray(size)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        fork(keep_in_child)
    running = False
    for thread in threads:
        thread.join()


def processes_of_multiprocessing():
    keep_in_parent()
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=keep_in_child) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    print([process.exitcode for process in processes])


def pool_of_multiprocessing():
    keep_in_parent()
    pool = multiprocessing.get_context("fork").Pool(1)
    print(len(set(pool.map(keep_in_child, range(3)))))
    pool.close()
    pool.join()


def executor_of_processes():
    keep_in_parent()
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        print(len(set(pool.map(keep_in_child, range(3)))))


def generation(left):
    from multiprocessing import util

    print("registered", len(util._afterfork_registry), flush=True)
    if left:
        process = multiprocessing.get_context("fork").Process(target=generation, args=(left - 1,))
        process.start()
        process.join()


def generations_of_processes():
    """Every process starts the next one."""
    generation(4)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
