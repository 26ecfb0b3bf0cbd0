"""What a program can see of itself and of its interpreter: ``insides.py NAME``.

test_transparency.py runs every function without arguments of this file plainly and under
memprof, and compares what is printed and the exit status.
"""

from __future__ import annotations

import asyncio
import code
import collections
import concurrent.futures
import contextvars
import copy
import cProfile
import dataclasses
import doctest
import enum
import faulthandler
import gc
import inspect
import io
import logging
import multiprocessing
import os
import pdb
import pickle
import pstats
import runpy
import subprocess
import sys
import threading
import traceback
import tracemalloc
import typing
import unittest
import warnings
import weakref

number: int = 0


def names_of(frames):
    return [(os.path.basename(frame.filename), frame.lineno, frame.name) for frame in frames]


# ---- the call stack ----------------------------------------------------------------------


def caller_of_the_module():
    frame = sys._getframe()
    while frame.f_back:
        frame = frame.f_back
    print(frame.f_code.co_name, frame.f_code.co_filename, frame.f_globals is globals())


def caller_past_the_end():
    sys._getframe(2)


def stack_of_traceback():
    traceback.print_stack()
    print(names_of(traceback.extract_stack()))


def stack_of_inspect():
    print([(info.function, info.lineno, info.code_context) for info in inspect.stack()])


def stack_of_a_thread():
    thread = threading.Thread(target=stack_of_traceback)
    thread.start()
    thread.join()


def stacks_of_all_threads():
    for frame in sys._current_frames().values():
        print(names_of(traceback.extract_stack(frame)))


def stack_of_faulthandler():
    faulthandler.dump_traceback(all_threads=True)


def stack_of_an_exit_handler():
    import atexit

    atexit.register(traceback.print_stack)


def warning_here():
    warnings.warn("level 1")


def warning_of_the_caller():
    warnings.warn("level 2", stacklevel=2)


def warning_past_the_end():
    warnings.warn("level 9", stacklevel=9)


def warning_of_deprecation():
    warnings.warn("shown in __main__ only", DeprecationWarning)


def warning_registry():
    for _ in range(2):
        warnings.warn("once")
    print(sorted(str(key[0]) for key in globals()["__warningregistry__"] if key != "version"))


def logging_finds_the_caller():
    form = "%(filename)s:%(lineno)d %(funcName)s %(module)s %(processName)s %(message)s"
    logging.basicConfig(format=form)
    logging.warning("here", stack_info=True)
    logging.warning("at the caller", stacklevel=3)


def recursion_is_as_deep():
    def down(depth):
        nonlocal deepest
        deepest = depth
        down(depth + 1)

    deepest = 0
    try:
        down(1)
    except RecursionError as error:
        print(error)
    print("depth", deepest)


# ---- __main__ ----------------------------------------------------------------------------


class Point(typing.NamedTuple):
    x: int
    y: int = 0


@dataclasses.dataclass
class Item:
    name: str
    sizes: list[int] = dataclasses.field(default_factory=list)


class Color(enum.Enum):
    RED = 1


Made = collections.namedtuple("Made", "a b")


def pickling_of_main_classes():
    things = [Point(1, 2), Item("a", [3]), Color.RED, Made(1, 2), pickling_of_main_classes]
    data = pickle.dumps(things, 0)
    print(data)
    print(pickle.loads(data) == things, copy.deepcopy(things) == things)


def modules_of_classes():
    print([kind.__module__ for kind in (Point, Item, Color, Made)], Item("a"), Point(1))
    print(typing.get_type_hints(Item), typing.get_type_hints(sys.modules["__main__"]))


def main_imported_by_name():
    import __main__

    print(__main__.Item is Item, vars(__main__) is globals(), __main__)


def source_of_a_function():
    print(inspect.getsource(source_of_a_function), inspect.getsource(Item))
    print(inspect.getsourcefile(Item), inspect.getmodule(Item) is sys.modules["__main__"])
    print(inspect.getcomments(modules_of_classes), inspect.getfile(inspect.currentframe()))


def annotations_of_the_module():
    print(__annotations__ if sys.version_info < (3, 14) else number)


def futures_of_the_script():
    exec("def inner(a: there_is_no_such_name): pass")
    print(eval("__name__"), compile("1", "", "eval").co_flags)


def scripts_in_the_script():
    result = runpy.run_path(__file__, run_name="other")
    print(result["__name__"], result["Item"].__module__)


# ---- tools that look at the running program ----------------------------------------------


def helper(value):
    return value + 1


def tracing_of_calls():
    events = []

    def trace(frame, event, argument):
        events.append((frame.f_code.co_name, event, frame.f_lineno))
        return trace

    sys.settrace(trace)
    helper(1)
    sys.settrace(None)
    print(events, sys.gettrace())


def profiling_of_calls():
    events = []
    sys.setprofile(lambda frame, event, argument: events.append((frame.f_code.co_name, event)))
    helper(1)
    sys.setprofile(None)
    print(events)


def profile_of_cprofile():
    profile = cProfile.Profile()
    profile.runcall(helper, 1)
    text = io.StringIO()
    pstats.Stats(profile, stream=text).strip_dirs().print_stats("helper")
    print("1 function calls" in text.getvalue() or text.getvalue().count("helper"))


def debugger_reads_commands():
    pdb.set_trace()
    helper(1)


def interactive_console():
    code.interact("hello", exitmsg="bye")


def garbage_collector_sees_objects():
    item = Item("here")
    print(any(thing is item for thing in gc.get_objects()))
    print(gc.is_tracked(item), len(gc.get_referrers(item)) > 0)
    reference = weakref.ref(item, lambda _: print("gone"))
    del item
    gc.collect()
    print(reference())


def tracemalloc_inside():
    tracemalloc.start(3)
    data = bytearray(100_000)
    print(tracemalloc.get_object_traceback(data))
    print(tracemalloc.get_traced_memory()[0] > len(data))
    tracemalloc.stop()
    print(tracemalloc.is_tracing())


def doctests_of_the_module():
    """
    >>> 1 + 1
    2
    >>> helper("a")
    1
    """
    print(doctest.testmod())


class SomeTests(unittest.TestCase):
    def test_that_passes(self):
        self.assertEqual(helper(1), 2)

    def test_that_fails(self):
        self.assertEqual(helper(1), 3)


def unittests_of_the_module():
    output = io.StringIO()
    try:
        runner = unittest.TextTestRunner(output)
        unittest.main(argv=["tests", "-v"], testRunner=runner)
    finally:
        print(output.getvalue().replace("0.001s", "0.000s"))


# ---- input, contexts, event loops --------------------------------------------------------


def input_of_lines():
    print(input("name? "), sys.stdin.readline(), sys.stdin.read())


def contexts_and_loops():
    variable = contextvars.ContextVar("variable", default=1)

    async def task(value):
        variable.set(value)
        await asyncio.sleep(0)
        return variable.get()

    async def main():
        asyncio.get_running_loop().slow_callback_duration = 60  # whatever the machine does
        print(await asyncio.gather(*map(task, range(3))), variable.get())
        return names_of(traceback.extract_stack())[:1]

    print(asyncio.run(main(), debug=True))


def asyncio_on_the_whole_interpreter():
    async def main():
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "print(6 * 7)", stdout=subprocess.PIPE
        )
        print(await process.communicate(), process.returncode)
        print(await asyncio.to_thread(helper, 1))

    asyncio.run(main())


# ---- other processes ---------------------------------------------------------------------


def square(value):
    return value * value, __name__, multiprocessing.current_process().name[:4]


def talk(queue):
    queue.put((__name__, os.path.basename(sys.argv[0]), sys.argv[1:], len(sys.path)))
    sys.exit(5)


def _run_pool(method):
    context = multiprocessing.get_context(method)
    with context.Pool(2) as pool:
        print(sorted(pool.map(square, range(4), 2))[:1], pool.apply(helper, (1,)))
    queue = context.Queue()
    process = context.Process(target=talk, args=(queue,))
    process.start()
    print(queue.get())
    process.join()
    print(process.exitcode)
    print(multiprocessing.get_start_method(allow_none=True))


def pool_of_fork():
    _run_pool("fork")


def pool_of_spawn():
    _run_pool("spawn")


def pool_of_forkserver():
    _run_pool("forkserver")


def process_that_fails():
    process = multiprocessing.get_context("fork").Process(target=helper, args=("a",))
    process.start()
    process.join()
    print(process.exitcode)


def executor_of_processes():
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        print(list(pool.map(helper, [1, 2])))


def subprocess_of_the_interpreter():
    source = "import sys; print(sys.argv, sys.flags, len(sys.path), sys.path[0]); sys.exit(3)"
    print(subprocess.run([sys.executable, "-c", source, "a"], capture_output=True, text=True))


def fork_by_hand():
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        print("child", names_of(traceback.extract_stack()))
        sys.exit(8)
    print("parent", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def fork_that_fails():
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        raise ValueError("in the child")
    print("parent", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


if __name__ == "__main__":
    globals()[sys.argv[1]]()
