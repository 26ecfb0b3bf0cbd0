"""Recursion, exceptions, generators, coroutines and threads: lines that do not mix."""

import asyncio
import threading

import pytest
from lines_helpers import MB, SLACK, check, marked, profiling

# ---- several activations -------------------------------------------------------------------------


def test_nested_profiled_functions_hand_their_peak_up():
    def callee():
        x = bytearray(5 * MB)  # x
        del x  # del
        return bytearray(MB)  # rest

    def caller():
        a = bytearray(2 * MB)  # a
        b = callee()  # call
        return a, b  # return

    with profiling(caller, callee) as prof:
        caller()
    rows = marked(prof, caller)
    check(rows["a"], 1, allocated=2 * MB, peak=2 * MB)
    check(rows["call"], 1, allocated=6 * MB, freed=5 * MB, peak=7 * MB)
    check(rows["return"], 1, allocated=0, freed=0, peak=3 * MB)
    rows = marked(prof, callee)
    check(rows["x"], 1, allocated=5 * MB, freed=0, peak=5 * MB)
    check(rows["del"], 1, allocated=0, freed=5 * MB)
    check(rows["rest"], 1, allocated=MB, peak=MB)


def recursive(n):
    x = bytearray(MB)  # x
    if n:  # if
        recursive(n - 1)  # call
    return len(x)  # return


def test_recursion_counts_each_byte_once_per_line():
    with profiling(recursive) as prof:
        recursive(9)
    rows = marked(prof, recursive)
    check(rows["x"], 10, allocated=10 * MB, freed=0, peak=MB)
    check(rows["if"], 10, allocated=0)
    check(rows["call"], 9, allocated=9 * MB, freed=9 * MB, peak=10 * MB)
    check(rows["return"], 10, allocated=0, peak=MB)


def test_mutual_recursion():
    def even(n):
        x = bytearray(MB)  # even
        return not n or odd(n - 1), x  # call odd

    def odd(n):
        x = bytearray(2 * MB)  # odd
        return bool(n) and even(n - 1), x  # call even

    with profiling(even, odd) as prof:
        even(4)
    rows = marked(prof, even)
    check(rows["even"], 3, allocated=3 * MB)
    check(rows["call odd"], 3, allocated=2 * MB + 2 * 2 * MB)
    rows = marked(prof, odd)
    check(rows["odd"], 2, allocated=4 * MB)
    check(rows["call even"], 2, allocated=2 * MB + 2 * MB)


def test_an_exception_ends_its_activation():
    def thrower():
        x = bytearray(MB)  # x
        raise KeyError(len(x))  # raise

    def between():
        try:
            thrower()
        except KeyError:
            pass
        return bytearray(3 * MB)

    def catcher():
        y = between()  # call
        z = bytearray(2 * MB)  # z
        return y, z

    with profiling(catcher, thrower) as prof:
        catcher()
    rows = marked(prof, thrower)
    check(rows["x"], 1, allocated=MB)
    check(rows["raise"], 1, allocated=0)
    rows = marked(prof, catcher)
    check(rows["call"], 1, allocated=4 * MB, freed=MB, peak=3 * MB)
    check(rows["z"], 1, allocated=2 * MB, peak=5 * MB)


def test_an_exception_that_leaves_the_profiled_code():
    def fails():
        x = bytearray(MB)  # x
        return x.nothing  # fails

    with profiling(fails) as prof:
        for _ in range(3):
            with pytest.raises(AttributeError):
                fails()
            bytearray(10 * MB)
    rows = marked(prof, fails)
    check(rows["x"], 3, allocated=3 * MB, peak=MB)
    check(rows["fails"], 3, peak=MB)
    assert rows["fails"].allocated < 4 * SLACK


def produce(count, size):
    for _ in range(count):  # for
        item = bytearray(size)  # item
        yield len(item)  # yield
    last = bytearray(MB)  # last
    return last


def test_generators_are_not_charged_while_they_are_suspended():
    with profiling(produce) as prof:
        for _ in produce(4, 2 * MB):
            bytearray(30 * MB)
    rows = marked(prof, produce)
    check(rows["for"], 5, allocated=0, freed=0)
    check(rows["item"], 4, allocated=8 * MB, freed=6 * MB, peak=4 * MB)
    check(rows["yield"], 4, allocated=0, freed=0, peak=2 * MB)
    check(rows["last"], 1, allocated=MB, peak=3 * MB)


def test_interleaved_generators():
    with profiling(produce) as prof:
        for _ in zip(produce(3, MB), produce(3, 5 * MB), strict=True):
            bytearray(20 * MB)
    rows = marked(prof, produce)
    check(rows["item"], 6, allocated=18 * MB, freed=12 * MB, peak=10 * MB)
    check(rows["yield"], 6, allocated=0, freed=0, peak=5 * MB)
    check(rows["last"], 2, allocated=2 * MB)


def test_throw_and_close():
    def catches():
        while True:
            try:
                yield  # yield
            except KeyError:
                x = bytearray(MB)  # caught
            finally:
                y = bytearray(2 * MB)  # finally
        return x, y

    with profiling(catches) as prof:
        generator = catches()
        next(generator)
        bytearray(9 * MB)
        generator.throw(KeyError)
        bytearray(9 * MB)
        generator.throw(KeyError)
        bytearray(9 * MB)
        generator.close()
    rows = marked(prof, catches)
    check(rows["caught"], 2, allocated=2 * MB)
    check(rows["finally"], 3, allocated=6 * MB)
    assert rows["yield"].allocated < 4 * SLACK


def test_generators_that_are_given_up():
    with profiling(produce) as prof:
        for _ in range(200):
            next(produce(2, MB))
        check(marked(prof, produce)["item"], 200, allocated=200 * MB)
        list(produce(1, MB))
    check(marked(prof, produce)["last"], 1, allocated=MB)


def test_a_generator_that_began_before():
    generator = produce(3, MB)
    next(generator)
    with profiling(produce) as prof:
        list(generator)
    rows = marked(prof, produce)
    check(rows["item"], 2, allocated=2 * MB)
    check(rows["last"], 1, allocated=MB)


def test_yield_from():
    def delegate():
        x = bytearray(MB)  # x
        yield from produce(2, 2 * MB)  # from
        return x

    with profiling(delegate, produce) as prof:
        for _ in delegate():
            bytearray(9 * MB)
    rows = marked(prof, delegate)
    check(rows["x"], 1, allocated=MB)
    check(rows["from"], 1, allocated=5 * MB, peak=5 * MB)
    check(marked(prof, produce)["item"], 2, allocated=4 * MB)


def test_coroutines_that_interleave():
    async def worker(size):
        for _ in range(3):
            x = bytearray(size)  # x
            await asyncio.sleep(0)  # sleep
        return len(x)

    async def main():
        return await asyncio.gather(*(worker(n * MB) for n in (1, 2, 3)))

    with profiling(worker) as prof:
        asyncio.run(main())
    rows = marked(prof, worker)
    check(rows["x"], 9, allocated=18 * MB, freed=12 * MB, peak=6 * MB)
    check(rows["sleep"], 9, net=0)
    assert rows["sleep"].allocated < MB / 4


def test_async_generators():
    async def ticks():
        for _ in range(3):
            x = bytearray(MB)  # x
            yield x  # yield

    async def main():
        async for item in ticks():
            assert len(bytearray(5 * MB)) > len(item)
            await asyncio.sleep(0)

    with profiling(ticks) as prof:
        asyncio.run(main())
    rows = marked(prof, ticks)
    # what the consumer lets go of while it is suspended does not lower its level
    check(rows["x"], 3, allocated=3 * MB, peak=3 * MB)
    assert rows["yield"].allocated < 4 * SLACK


def test_threads_have_their_own_activations():
    barrier = threading.Barrier(4)

    def work(size):
        for _ in range(20):
            x = bytearray(size)  # x
            barrier.wait()
        return len(x)  # end

    with profiling(work) as prof:
        threads = [threading.Thread(target=work, args=(n * MB // 10,)) for n in (1, 2, 3, 4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    rows = marked(prof, work)
    check(rows["x"], 80, allocated=20 * MB, freed=19 * MB)
    assert 0.8 * MB <= rows["x"].peak < 0.84 * MB  # locks may be among it
    check(rows["end"], 4)


def test_a_call_under_way_while_the_profiler_was_off_leaves_nothing_behind():
    entered, go = threading.Event(), threading.Event()

    def callee(waits):
        return (entered.set(), go.wait(60)) if waits else bytearray(MB)  # callee

    def caller():
        return callee(False)  # call

    def work():
        callee(True)  # ends without an event of a line
        caller()

    with profiling(callee, caller) as prof:
        thread = threading.Thread(target=work)
        thread.start()
        assert entered.wait(60)
        prof.disable()
        prof.enable()
        go.set()
        thread.join()
    check(marked(prof, callee)["callee"], allocated=MB)
    check(marked(prof, caller)["call"], 1, allocated=MB)


def test_a_generator_that_changes_threads():
    generator = produce(4, MB)
    with profiling(produce) as prof:
        next(generator)
        thread = threading.Thread(target=lambda: (next(generator), next(generator)))
        thread.start()
        thread.join()
        list(generator)
    rows = marked(prof, produce)
    check(rows["item"], 4, allocated=4 * MB)
    check(rows["last"], 1, allocated=MB)
