"""The ways in which a program can end: ``endings.py NAME``.

test_transparency.py runs every function without arguments of this file plainly and under
memprof, and compares what is printed and the exit status.
"""

import atexit
import faulthandler
import gc
import os
import signal
import sys
import threading
import time

HERE = os.path.basename(__file__)


def fail(message="failed"):
    raise ValueError(message)


def falls_off_the_end():
    print("over")


# ---- SystemExit and the like -------------------------------------------------------------


def exit_without_value():
    sys.exit()


def exit_none():
    sys.exit(None)


def exit_zero_from_nested_calls():
    (lambda: sys.exit(0))()


def exit_number():
    sys.exit(7)


def exit_number_over_255():
    sys.exit(256 + 9)


def exit_negative_number():
    sys.exit(-1)


def exit_huge_number():
    sys.exit(2**70)


def exit_true():
    sys.exit(True)


def exit_text():
    sys.exit("the reason")


def exit_tuple():
    sys.exit((1, "two"))


def exit_object_that_cannot_be_printed():
    class Broken:
        def __str__(self):
            raise ValueError("no text")

    sys.exit(Broken())


def exit_of_a_subclass():
    class Enough(SystemExit):
        pass

    raise Enough(5)


def exit_while_handling():
    try:
        raise ValueError("handled")
    except ValueError:
        sys.exit(4)


def exit_builtin():
    exit("by the builtin")


def exit_of_the_operating_system():
    atexit.register(print, "not to be printed")
    print("before", flush=True)
    os._exit(9)


def exit_in_a_thread():
    thread = threading.Thread(target=sys.exit, args=(3,))
    thread.start()
    thread.join()
    print("the main thread goes on")


# ---- exit handlers and the end of the interpreter ----------------------------------------


def handlers_in_reverse_order():
    for number in range(3):
        atexit.register(print, "handler", number)
    print("main over")


def handlers_after_an_error():
    atexit.register(print, "handler", flush=True)
    fail()


def handler_that_fails():
    atexit.register(print, "still called")
    atexit.register(fail, "in a handler")


def handler_that_exits():
    atexit.register(print, "still called")
    atexit.register(sys.exit, 3)


def handler_that_ends_the_process():
    atexit.register(os._exit, 11)


def handler_that_registers_another():
    atexit.register(lambda: atexit.register(print, "the other one"))


def handlers_all_cleared():
    atexit.register(print, "not to be printed")
    atexit._clear()
    print("cleared")


def handlers_run_early():
    atexit.register(print, "early")
    atexit._run_exitfuncs()
    print("after them")


class Dying:
    def __init__(self, name):
        self.name = name

    def __del__(self):
        print("dies:", self.name, sys.is_finalizing(), __name__)


def objects_that_live_to_the_end():
    global kept, _kept
    gc.collect()  # and so not in the next moments
    kept = Dying("global")
    _kept = Dying("underscore")
    cycle = Dying("cycle")
    cycle.self = cycle
    sys.modules["made_up"] = Dying("module")


def object_that_fails_to_die():
    class Broken:
        def __del__(self):
            fail("in __del__")

    Broken()
    print("goes on")


def generator_left_open():
    global left

    def count():
        try:
            yield 1
        finally:
            print("closed")

    left = count()
    next(left)


def trace_function_left_on():
    """It sees the exit handlers of the program, and nothing that is not the program's."""

    def trace(frame, event, argument):
        if not sys.is_finalizing():
            print(event, frame.f_code.co_name, file=sys.__stdout__)
        return trace

    atexit.register(lambda: None)
    sys.settrace(trace)


def directory_changed():
    os.chdir("/")
    print(os.getcwd())


# ---- threads -----------------------------------------------------------------------------


def thread_that_outlives_the_main_one():
    def work():
        threading.main_thread().join()
        print("thread over", threading.main_thread().is_alive())

    threading.Thread(target=work).start()
    atexit.register(print, "handler")
    print("main over")


def thread_daemon_left_behind():
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    print("main over")


def thread_that_fails():
    thread = threading.Thread(target=fail, name="worker")
    thread.start()
    thread.join()


def thread_that_fails_with_own_hook():
    threading.excepthook = lambda args: print("hook:", args.exc_type, args.exc_value)
    thread_that_fails()


# ---- signals -----------------------------------------------------------------------------


def signal_interrupt():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)


def signal_interrupt_in_a_handler():
    atexit.register(print, "still called")
    atexit.register(os.kill, os.getpid(), signal.SIGINT)


def signal_interrupt_handled():
    try:
        signal_interrupt()
    except KeyboardInterrupt:
        print("handled", HERE)


def signal_interrupt_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.kill(os.getpid(), signal.SIGINT)
    print("ignored")


def signal_interrupt_with_own_excepthook():
    sys.excepthook = lambda kind, *rest: print("hook:", kind.__name__)
    atexit.register(lambda: print("handler", repr(sys.last_value)))
    signal_interrupt()


def signal_interrupt_raised_by_hand():
    raise KeyboardInterrupt("by hand")


def signal_interrupt_in_a_subclass():
    class Stop(KeyboardInterrupt):
        pass

    raise Stop


def signal_terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def signal_terminate_handled():
    def handler(number, frame):
        print(signal.Signals(number).name, frame.f_code.co_name)
        sys.exit(12)

    signal.signal(signal.SIGTERM, handler)
    signal_terminate()
    time.sleep(60)


def signal_alarm_handled():
    came = []
    signal.signal(signal.SIGALRM, lambda number, frame: came.append(print("alarm")))
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    while not came:  # pause() would wait for ever if it came before
        time.sleep(0.01)


def signal_kill():
    print("before", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


def crash_with_faulthandler():
    faulthandler.enable()
    os.kill(os.getpid(), signal.SIGSEGV)


def replaced_by_another_program():
    print("before", flush=True)
    os.execv(sys.executable, [sys.executable, "-c", "import sys; print(sys.argv); sys.exit(6)"])


# ---- streams -----------------------------------------------------------------------------


def stdout_closed():
    sys.stdout.close()


def stdout_descriptor_closed():
    print("never arrives")
    os.close(1)


def stderr_closed():
    sys.stderr.close()
    fail()


def all_descriptors_closed():
    for number in range(3):
        os.close(number)


def stdout_flushed_before_exit_handlers():
    atexit.register(os._exit, 0)
    print("the script is over")


def stdout_replaced():
    class Loud:
        def write(self, text):
            return sys.__stdout__.write(text.upper())

        def flush(self):
            sys.__stdout__.write("(flushed)")
            sys.__stdout__.flush()

    sys.stdout = Loud()
    print("loud")


if __name__ == "__main__":
    globals()[sys.argv[1]]()
