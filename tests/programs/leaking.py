"""Programs that leak, and programs that do not: ``leaking.py NAME [SECONDS]``.

The function NAME runs for SECONDS (1.5 by default), and how many steps it took is printed.
In functions that leak, a comment ``# leak: NAME`` marks the line whose allocations are
never freed.
"""

import collections
import functools
import gc
import json
import sys
import threading
import time

SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 1.5


def steps(seconds=None):
    """0, 1, 2, ... each millisecond. Where one comes late the next do not wait: on a busy machine
    there are as many in the same time."""
    begin, end = time.monotonic(), SECONDS if seconds is None else seconds
    step = 0
    while (now := time.monotonic() - begin) < end:
        if step * 0.001 > now:
            time.sleep(0.001)
        else:
            yield step
            step += 1
    print(f"steps {step} in {now:.3f}")


# ---- leaks -------------------------------------------------------------------------------

MESSAGES = []


def list_of_a_module():
    for step in steps():
        MESSAGES.append(f"message {step} " * 10)  # leak: list_of_a_module


CACHE = {}


def compute(key):
    return list(range(key, key + 20))  # leak: cache_without_limit


def cache_without_limit():
    for step in steps():
        if step not in CACHE:
            CACHE[step] = compute(step)


@functools.cache
def render(page):
    return b"-" * (200 + page % 7)  # leak: lru_cache_without_limit


def lru_cache_without_limit():
    for step in steps():
        render(step)


def closures_that_keep_data():
    callbacks = []
    globals()["callbacks"] = callbacks

    def make(step):
        payload = bytes(300 + step % 5)  # leak: closures_that_keep_data
        return lambda: payload

    for step in steps():
        callbacks.append(make(step))


RECORDING = bytearray()


def buffer_that_grows():
    for step in steps():
        RECORDING.extend(b"x" * 400)  # leak: buffer_that_grows


class Subject:
    def __init__(self):
        self.observers = []


class Observer:
    def __init__(self, subject, step):
        self.history = [step] * 30  # leak: observers_never_removed
        subject.observers.append(self.notify)

    def notify(self):
        pass


SUBJECT = Subject()


def observers_never_removed():
    for step in steps():
        Observer(SUBJECT, step)


class Connection:
    opened = []

    def __init__(self, number):
        self.buffer = bytearray(256)  # leak: instances_in_a_class_attribute
        self.opened.append(self)


def instances_in_a_class_attribute():
    for step in steps():
        Connection(step)


ERRORS = []


def process(step):
    data = bytes(500)  # leak: exceptions_that_keep_frames
    raise ValueError(step, len(data))


def exceptions_that_keep_frames():
    for step in steps():
        try:
            process(step)
        except ValueError as error:
            ERRORS.append(error)


RESULTS = []


def worker():
    for step in steps():
        RESULTS.append(bytes(150 + step % 3))  # leak: list_filled_by_a_thread


def list_filled_by_a_thread():
    thread = threading.Thread(target=worker)
    thread.start()
    for step in steps(SECONDS / 2):
        bytes(step)
    thread.join()


SLOW = []


def leak_among_much_work():
    for step in steps():
        for number in range(50):
            json.loads(json.dumps({"step": step, "numbers": list(range(number))}))
        SLOW.append(bytes(64))  # leak: leak_among_much_work


# ---- no leaks ----------------------------------------------------------------------------


@functools.lru_cache(maxsize=100)
def warm(page):
    return f"<h1>{page}</h1>" * 20


def clean_warm_lru_cache():
    for step in steps():
        warm(step % 150)


def clean_sawtooth_buffer():
    global buffer
    buffer = []
    for step in steps():
        buffer.append(bytes(200))
        if len(buffer) > 100:
            buffer = []


def clean_result_list():
    results = []
    for step in steps():
        results.append(f"result {step}" * 10)


class Node:
    def __init__(self):
        self.me = self
        self.data = [0] * 50


def clean_cycles():
    gc.set_threshold(300, 5, 5)
    for _ in steps():
        Node()


def clean_imports():
    import asyncio
    import decimal
    import email.mime.multipart
    import http.client
    import xml.dom.minidom

    modules = asyncio, decimal, email.mime.multipart, http.client, xml.dom.minidom
    for step in steps():
        json.dumps([module.__name__ for module in modules] + [step])


def clean_ring_buffer():
    global ring
    ring = collections.deque(maxlen=100)
    for step in steps():
        ring.append(bytes(300 + step % 9))


def clean_dict_filled_once():
    global table
    table = {number: str(number) * 5 for number in range(20_000)}
    for step in steps():
        table[step % 20_000]


def clean_dict_with_changing_values():
    global state
    state = {}
    for step in steps():
        state[step % 50] = [step] * 40


def clean_queue_between_threads():
    queue = collections.deque()
    running = True

    def consume():
        while running or queue:
            while queue:
                queue.popleft()
            time.sleep(0.005)

    thread = threading.Thread(target=consume)
    thread.start()
    for step in steps():
        queue.append(f"job {step}" * 10)
    running = False
    thread.join()


def clean_slow_warm_up():
    """Fills for the first half of its run."""
    global filled
    filled = {}
    for step in steps(SECONDS / 2):
        filled[step] = bytes(300)
    for step in steps(SECONDS / 2):
        filled.get(step)


def clean_slow_sawtooth():
    """Goes up for a third of the run, and comes down."""
    global heap
    for _ in range(3):
        heap = []
        for _ in steps(SECONDS / 3):
            heap.append(bytes(200))
    heap = []


def clean_counter():
    global count
    count = collections.Counter()
    for step in steps():
        count[f"kind {step % 30}"] += 1


if __name__ == "__main__":
    globals()[sys.argv[1]]()
