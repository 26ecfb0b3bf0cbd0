"""Prints all that a program can see of how it was started, and then fails.

test_transparency.py starts it in every way that Python has, with and without memprof.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
import traceback
import warnings

NAMES = list(globals())


def show(name, value):
    print(f"{name}: {value}")


def name_of(loader):
    return loader.__name__ if isinstance(loader, type) else type(loader).__name__


def show_module():
    main = sys.modules["__main__"]
    spec, loader = __spec__, __loader__
    show("name", (__name__, vars(main) is globals(), main.__class__))
    show("file", globals().get("__file__", "absent"))
    show("cached", globals().get("__cached__", "absent"))
    show("doc", __doc__)
    show("package", repr(__package__))
    show("loader", (name_of(loader), getattr(loader, "name", None), getattr(loader, "path", None)))
    show("spec", spec and (spec.name, spec.origin, name_of(spec.loader), spec.parent))
    show("names", NAMES)
    show("annotations", globals().get("__annotations__", "absent"))
    show("builtins", type(__builtins__))
    show("code", (show_module.__code__.co_filename, show_module.__module__))


def show_interpreter():
    show("argv", sys.argv)
    show("path", sys.path)
    show("flags", sys.flags)
    show("executable", (sys.executable, sys.prefix, sys.pycache_prefix, sys._xoptions))
    show("warnings", (sys.warnoptions, warnings.filters))
    show("finders", (sys.meta_path, len(sys.path_hooks), sys.dont_write_bytecode))
    show("limits", (sys.getrecursionlimit(), sys.getswitchinterval()))
    show("collector", (gc.isenabled(), gc.get_threshold(), gc.get_debug(), gc.get_freeze_count()))
    show("tracing", (sys.gettrace(), sys.getprofile(), sys.exc_info()))
    hooks = ("excepthook", "displayhook", "unraisablehook", "breakpointhook")
    show("hooks", [getattr(sys, name) is getattr(sys, f"__{name}__") for name in hooks])


def show_process():
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        buffering = (stream.line_buffering, stream.write_through)
        show(name, (stream.name, stream.mode, stream.encoding, stream.errors, *buffering))
        show("original", stream is getattr(sys, f"__{name}__"))
    show("directory", os.getcwd())
    show("environment", sorted(os.environ.items()))
    show("descriptors", sorted(os.listdir("/proc/self/fd"), key=int)[:-1])
    show("threads", [thread.name for thread in threading.enumerate()])
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGUSR1, signal.SIGALRM)
    show("signals", [signal.getsignal(number) for number in numbers])
    show("masked", signal.pthread_sigmask(signal.SIG_BLOCK, ()))


def show_stack():
    outermost = sys._getframe()
    while outermost.f_back:
        outermost = outermost.f_back
    show("outermost", (outermost.f_code.co_name, outermost.f_code.co_filename))
    warnings.warn("at this line")
    warnings.warn("at the caller's line", stacklevel=2)
    warnings.warn("outside", stacklevel=9)
    logging.basicConfig(format="%(pathname)s:%(lineno)d %(funcName)s %(message)s")
    logging.error("logged", stacklevel=2)
    traceback.print_stack()


def fail():
    try:
        {}["missing"]
    except KeyError as error:
        raise ValueError("failed") from error


if __name__ == "__main__":
    show_module()
    show_interpreter()
    show_process()
    show_stack()
    fail()
