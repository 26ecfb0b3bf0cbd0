"""Exceptions that nobody catches: ``failing.py NAME``.

test_transparency.py runs every function without arguments of this file plainly and under
memprof, and compares what is printed and the exit status.
"""

import asyncio
import atexit
import sys


def fail(message="failed"):
    raise ValueError(message)


def error():
    fail()


def error_with_cause():
    try:
        fail("first")
    except ValueError as first:
        raise RuntimeError("second") from first


def error_with_context():
    try:
        fail("first")
    except ValueError:
        {}["missing"]


def error_with_context_suppressed():
    try:
        fail("first")
    except ValueError:
        raise RuntimeError("second") from None


def error_group():
    errors = []
    for number in range(2):
        try:
            fail(f"part {number}")
        except ValueError as error:
            errors.append(error)
    raise ExceptionGroup("several", errors)


def error_with_notes():
    error = ValueError("with notes")
    error.add_note("one note\nof two lines")
    raise error


def error_whose_text_raises():
    class Broken(Exception):
        def __str__(self):
            raise ValueError("no text")

    raise Broken


def error_with_suggestion():
    sys.verison


def error_of_syntax_at_run_time():
    compile("a = 1 +\n", "made-up.py", "exec")


def error_of_syntax_in_evaluated_text():
    eval("1 +")


def error_in_executed_text():
    exec(compile("def inner():\n    1 / 0\ninner()", "<made up>", "exec"))


def error_of_import():
    import there_is_no_such_module  # noqa: F401


def error_in_a_callback():
    list(map(fail, ["in a callback"]))


def error_without_traceback():
    class Silent(Exception):
        def __init__(self):
            self.with_traceback(None)

    raise Silent


def error_that_is_no_exception():
    class Odd(BaseException):
        pass

    raise Odd("derived from BaseException")


def error_recursion():
    def down():
        down()

    down()


def error_with_trace_limit():
    sys.tracebacklimit = 1
    fail()


def error_with_trace_limit_zero():
    sys.tracebacklimit = 0
    fail()


def error_raised_again():
    try:
        fail("again")
    except ValueError as error:
        kept = error
    raise kept


def error_generator_exit():
    raise GeneratorExit("uncaught")


def error_in_asyncio():
    async def main():
        await asyncio.sleep(0)
        fail("in a coroutine")

    asyncio.run(main())


def error_with_own_excepthook():
    def hook(kind, value, traceback):
        names = []
        while traceback:
            names.append((traceback.tb_frame.f_code.co_name, traceback.tb_lineno))
            traceback = traceback.tb_next
        caller = sys._getframe().f_back
        print(kind.__name__, value, names, caller, sys.last_value is value, sys.last_traceback)

    sys.excepthook = hook
    fail()


def error_with_broken_excepthook():
    sys.excepthook = lambda *arguments: 1 / 0
    fail()


def error_with_excepthook_that_exits():
    sys.excepthook = lambda *arguments: sys.exit(42)
    fail()


def error_without_excepthook():
    del sys.excepthook
    fail()


def error_seen_by_exit_handlers():
    def handler():
        print(repr(sys.last_value), sys.last_type, sys.last_traceback.tb_frame.f_code.co_name)
        print(sys.exc_info())

    atexit.register(handler)
    fail()


def error_without_stderr():
    sys.stderr = None
    fail()


def error_with_replaced_stderr():
    sys.stderr = sys.stdout
    fail()


if __name__ == "__main__":
    globals()[sys.argv[1]]()
