"""Programs that leak nothing: ``memprof --leaks --every 10 clean.py NAME``. Each function whose
name begins with ``clean_`` does 600 marked units of work; seeded.py has those that leak."""

import collections
import functools
import gc
import sys
import weakref

from seeded import RECORDS, STEPS, Record, fail, steps


def clean_result_list_of_main():
    results = []
    for step in steps():
        results.append(Record(step))


def clean_cycles():
    for step in steps():
        record = Record(step)
        record.me = record


RING = collections.deque(maxlen=50)


def clean_ring():
    for step in steps():
        RING.append(Record(step))


RESIZED = {}


def clean_resizing():
    """Entries come and go; the table is resized now and then."""
    for step in steps():
        RESIZED[step] = step
        if len(RESIZED) > 200:
            RESIZED.clear()


@functools.lru_cache(maxsize=64)
def page(number):
    return Record(number)


def clean_warm_cache():
    for step in steps():
        page(step * step % 97)


def clean_weak_cache():
    cache = weakref.WeakValueDictionary()
    for step in steps():
        record = cache[step] = Record(step)
        del record


def clean_executor():
    import concurrent.futures

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for step in steps():
            pool.submit(Record, step).result()


def clean_asyncio():
    import asyncio

    async def job(step):
        await asyncio.sleep(0)
        return Record(step)

    async def main():
        for step in steps():
            await asyncio.gather(job(step), job(step + 1))

    asyncio.run(main())


def clean_buffers():
    buffer = bytearray()
    for step in steps():
        buffer.extend(bytes(500))
        if len(buffer) > 20_000:
            buffer.clear()


def clean_lazy_imports():
    names = ["json", "csv", "wave", "difflib", "decimal", "fractions", "statistics", "calendar"]
    for step in steps():
        if step % 60 == 50 and names:
            __import__(names.pop())


GROWING = []


def clean_sawtooth():
    for step in steps():
        GROWING.append(Record(step))
        if len(GROWING) == 150:
            GROWING.clear()


def clean_coupons():
    """A cache of random keys that fills up ever slower."""
    import random

    chance = random.Random(3)
    for _ in steps():
        for _ in range(2):
            key = chance.randrange(400)
            if key not in RESIZED:
                RESIZED[key] = Record(key)


def clean_full_at_half_time():
    for step in steps():
        if step < STEPS * 0.55:
            RECORDS.append(Record(step))


def clean_popular_pages():
    """A bounded cache of pages of which a few are asked for most of the time."""
    import random

    chance = random.Random(1)
    for _ in steps():
        for _ in range(5):
            page(int(chance.paretovariate(1)))


def clean_exceptions():
    for step in steps():
        try:
            fail(step)
        except ValueError:
            pass


if __name__ == "__main__":
    gc.collect()
    globals()[sys.argv[1]]()
