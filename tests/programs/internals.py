"""Gives the interpreter a function for everything that it keeps functions for; each has an Item
in its closure that nobody else holds. Prints {name: (path, root)}."""

import array
import codecs
import gc
import json
import os
import signal
import sys
import threading

import memprof
from memprof import _core

ADDRESSES = {}


class Item:
    pass


def keeper(name):
    item = Item()
    ADDRESSES[name] = id(item)
    return lambda *args: item and None


def search(name):
    function = keeper("codec cache")
    return codecs.CodecInfo(function, function, name=name) if name == "mine" else None


def give_to_interpreter():
    codecs.register(keeper("codec search"))
    codecs.register(search)
    codecs.lookup("mine")
    codecs.register_error("mine", keeper("codec error"))
    sys.addaudithook(keeper("audit hook"))
    os.register_at_fork(before=keeper("before fork"))
    os.register_at_fork(
        after_in_parent=keeper("fork, parent"), after_in_child=keeper("fork, child")
    )
    signal.signal(signal.SIGUSR2, keeper("signal"))
    if sys.version_info >= (3, 12):
        sys.monitoring.use_tool_id(3, "test")
        sys.monitoring.register_callback(3, sys.monitoring.events.LINE, keeper("monitoring"))


def fail():
    error = ValueError()
    error.item = Item()
    ADDRESSES["exception"] = id(error.item)
    raise error


def give_to_thread():
    sys.set_asyncgen_hooks(firstiter=keeper("first iteration"), finalizer=keeper("finalizer"))
    sys.settrace(keeper("trace"))
    sys.setprofile(keeper("profile"))
    try:
        fail()
    except ValueError:
        READY.set()
        DONE.wait()


READY, DONE = threading.Event(), threading.Event()
give_to_interpreter()
thread = threading.Thread(target=give_to_thread)
thread.start()
READY.wait()
gc.collect()
found = {}
own = os.path.dirname(memprof.__file__) + os.sep
for name, address in list(ADDRESSES.items()):
    rows = _core.heap_holders(array.array("Q", [address]).tobytes(), bytes(8), own)[7]
    found[name] = [(row[0], row[3]) for row in rows]
DONE.set()
thread.join()
print(json.dumps(found))
