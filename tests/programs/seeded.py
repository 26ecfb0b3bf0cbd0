"""Leaks with a known site, type and holder: ``memprof --leaks --every 10 seeded.py NAME``.

Each function below does 600 marked units of work and leaks at the line marked
``# leak: NAME``, an object of the type ``type: T``, held by what ``held: TEXT`` says (a part
of the path that must be shown). What leaks nothing is in clean.py.
"""

import atexit
import codecs
import collections
import contextvars
import functools
import gc
import os
import struct
import sys
import threading
import time
import types
import weakref

from memprof import mark

STEPS = 600


def steps():
    for step in range(STEPS):
        yield step
        mark("step")


class Record:
    def __init__(self, step):
        self.step = step
        self.payload = bytes(200 + step % 7)


# ---- leaks -----------------------------------------------------------------------------------

RECORDS = []


def module_list():
    for step in steps():
        RECORDS.append(Record(step))  # leak: module_list; type: Record; held: RECORDS[..]


class Store:
    cache = {}


def class_attribute_cache():
    for step in steps():
        Store.cache["page %d" % step] = Record(step)  # leak: class_attribute_cache; type: Record; held: Store.cache[..]


class Service:
    @functools.cache
    def render(self, page):
        return Record(page)  # leak: lru_cache_on_a_method; type: Record; held: Service.render


def lru_cache_on_a_method():
    service = Service()
    for step in steps():
        service.render(step)


CALLBACKS = []


def make_callback(step):
    record = Record(step)  # leak: closure; type: Record; held: CALLBACKS[..] (list) -> function closure record
    return lambda: record


def closure():
    for step in steps():
        CALLBACKS.append(make_callback(step))


FORMS = []


def make_form(step):
    class Form:
        pass

    form = Form()  # leak: classes_made_anew; type: make_form.<locals>.Form; held: FORMS[..] (list) -> make_form.<locals>.Form
    form.step = step
    return form


def classes_made_anew():
    for step in steps():
        FORMS.append(make_form(step))


class Bus:
    def __init__(self):
        self.observers = set()


BUS = Bus()


class Observer:
    def __init__(self, step):
        self.seen = [step] * 20
        BUS.observers.add(self.notify)

    def notify(self):
        pass


def observers():
    for step in steps():
        Observer(step)  # leak: observers; type: Observer; held: BUS.observers


ERRORS = []


def fail(step):
    record = Record(step)
    raise ValueError(record.step)  # leak: stored_exceptions; type: ValueError; held: ERRORS[..]


def stored_exceptions():
    for step in steps():
        try:
            fail(step)
        except ValueError as error:
            ERRORS.append(error)


PENDING = collections.deque()


def work(step):
    record = Record(step)  # leak: suspended_generators; type: Record; held: PENDING[..] (collections.deque) -> generator local record
    yield record.step


def suspended_generators():
    for step in steps():
        job = work(step)
        next(job)
        PENDING.append(job)


LOCAL = threading.local()


def thread_local():
    def worker():
        LOCAL.records = []
        for step in steps():
            LOCAL.records.append(Record(step))  # leak: thread_local; type: Record; held: LOCAL.records -> list[..]
        ready.set()
        time.sleep(3600)

    ready = threading.Event()
    threading.Thread(target=worker, daemon=True).start()
    ready.wait()


def remember(record, seen=[]):
    seen.append(record)


def mutable_default():
    for step in steps():
        remember(Record(step))  # leak: mutable_default; type: Record; held: remember default seen


TASKS = set()


async def wait_for_ever(step):
    import asyncio

    record = Record(step)  # leak: asyncio_tasks; type: Record; held: coroutine local record
    await asyncio.get_running_loop().create_future()
    return record


async def start_tasks():
    import asyncio

    for step in steps():
        TASKS.add(asyncio.ensure_future(wait_for_ever(step)))
        await asyncio.sleep(0)


def asyncio_tasks():
    import asyncio
    import logging

    loop = asyncio.new_event_loop()
    loop.run_until_complete(start_tasks())
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)


class Connection:
    pass


CONNECTIONS = []


def finalize_arguments():
    for step in steps():
        connection = Connection()
        CONNECTIONS.append(connection)
        weakref.finalize(connection, print, Record(step)).atexit = False  # leak: finalize_arguments; type: Record; held: finalize._registry


def logging_handlers():
    import logging

    class Handler(logging.Handler):
        def __init__(self, step):
            super().__init__()
            self.records = [step] * 20

    for step in steps():
        logging.getLogger("app").addHandler(Handler(step))  # leak: logging_handlers; type: logging_handlers.<locals>.Handler; held: handlers


RECORDING = bytearray()


def growing_bytearray():
    for _ in steps():
        RECORDING.extend(b"x" * 500)  # leak: growing_bytearray; type: bytearray; held: RECORDING


def plugins():
    for step in steps():
        name = f"plugin_{step}"
        module = types.ModuleType(name)  # leak: plugins; type: module; held: sys.modules[..]
        module.payload = bytes(300)
        sys.modules[name] = module


def exit_handlers():
    for step in steps():
        atexit.register(id, Record(step))  # leak: exit_handlers; type: Record; held: atexit


def fork_handlers():
    for step in steps():
        record = Record(step)  # leak: fork_handlers; type: Record; held: os.register_at_fork(after_in_child)
        os.register_at_fork(after_in_child=record.__init__)


def make_search(step):
    record = Record(step)  # leak: codec_searches; type: Record; held: codecs.register()[..] -> function closure record
    return lambda name: record and None


def codec_searches():
    for step in steps():
        codecs.register(make_search(step))


REQUESTS = contextvars.ContextVar("requests")


def context_variables():
    REQUESTS.set([])
    for step in steps():
        REQUESTS.get().append(Record(step))  # leak: context_variables; type: Record; held: context variable requests


WINDOWS = []


def numpy_views():
    import numpy

    for _ in steps():
        whole = numpy.zeros(500)  # leak: numpy_views; type: numpy.ndarray; held: WINDOWS[..] (list) -> ndarray.base -> ndarray
        WINDOWS.append(whole[:3])


def held_by_c_only():
    import ctypes

    for step in steps():
        record = Record(step)  # leak: held_by_c_only; type: Record; held: C code
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(record))


def raw_memory():
    import ctypes

    malloc = ctypes.pythonapi.PyMem_RawMalloc
    malloc.restype = ctypes.c_void_p
    for _ in steps():
        malloc(ctypes.c_size_t(300))  # leak: raw_memory; type: none; held: none


LAST = None


def raw_memory_that_is_kept_once():
    import ctypes

    global LAST
    malloc = ctypes.pythonapi.PyMem_RawMalloc
    malloc.restype = ctypes.c_void_p
    for _ in steps():
        address = malloc(ctypes.c_size_t(300))  # leak: raw_memory_that_is_kept_once; type: none; held: none
    LAST = ctypes.c_void_p(address)  # an object with the address of one of the blocks in it


FUNCTIONS = [eval("lambda: None") for _ in range(STEPS)]


def raw_memory_in_left_over_words():
    """Addresses of the blocks are left in memory that sys.monitoring takes for its own."""
    import ctypes

    malloc = ctypes.pythonapi.PyMem_RawMalloc
    malloc.restype = ctypes.c_void_p
    addresses = []
    for _ in steps():
        addresses.append(malloc(ctypes.c_size_t(300)))  # leak: raw_memory_in_left_over_words; type: none; held: none
    left_over = [struct.pack("Q", address) * 13 for address in addresses]
    if monitoring := getattr(sys, "monitoring", None):  # 3.12 and later
        monitoring.use_tool_id(4, "seeded")
        monitoring.register_callback(4, monitoring.events.PY_START, lambda *args: None)
        monitoring.set_events(4, monitoring.events.PY_START)
        left_over.clear()
        for function in FUNCTIONS:
            function()


TREE = {}


def nested_dicts():
    for step in steps():
        year = TREE.setdefault(step % 3, {})
        year["day %d" % step] = Record(step)  # leak: nested_dicts; type: Record; held: TREE[


def large_blocks():
    for step in steps():
        if step % 100 == 40:
            RECORDS.append(bytearray(3_000_000))  # leak: large_blocks; type: bytearray; held: RECORDS[..]


HEAD = None


class Link:
    __slots__ = ("next", "payload")


def linked_list():
    global HEAD
    for step in steps():
        link = Link()  # leak: linked_list; type: Link; held: HEAD
        link.next, link.payload, HEAD = HEAD, bytes(200), link


BY_KEY = weakref.WeakKeyDictionary()


def weak_keys_held_by_their_values():
    for step in steps():
        connection = Connection()
        record = Record(step)  # leak: weak_keys_held_by_their_values; type: Record; held: BY_KEY.data
        record.connection = connection
        BY_KEY[connection] = record


def timers():
    import asyncio

    async def start():
        for step in steps():
            asyncio.get_running_loop().call_later(3600, Record(step).__init__, step)  # leak: timers; type: Record; held: LOOP._scheduled
            await asyncio.sleep(0)

    global LOOP
    LOOP = asyncio.new_event_loop()
    LOOP.run_until_complete(start())


def slower_and_slower():
    for step in steps():
        for _ in range(12 if step < 200 else 3):
            RECORDS.append(Record(step))  # leak: slower_and_slower; type: Record; held: RECORDS[..]


def many_attributes():
    names = [sys.intern("hook_%d" % step) for step in range(STEPS)]  # CPython's own table may grow
    for step in steps():
        setattr(Store, names[step], Record(step))  # leak: many_attributes; type: Record; held: Store.*


if __name__ == "__main__":
    gc.collect()
    globals()[sys.argv[1]]()
