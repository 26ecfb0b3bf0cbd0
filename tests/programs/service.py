"""A small service with a leak: sessions are opened and never closed.

Beside it does what services do and what is no leak: a cache that warms up, buffers that
come and go, a table made once. ``python service.py [SECONDS]``, 2 by default.
"""

import functools
import sys
import time

SESSIONS = {}
TABLE = [n * n for n in range(20_000)]


class Session:
    def __init__(self, number):
        self.number = number
        self.log = [f"session {number} opened"]


def open_session(number):
    session = Session(number)
    SESSIONS[number] = session
    return session


@functools.lru_cache(maxsize=256)
def render(page):
    return f"<h1>page {page}</h1>" * 20


def handle(number):
    session = open_session(number)
    body = bytearray(50_000)
    body[:5] = b"hello"
    return session, len(render(number % 300)) + len(body)


def serve(seconds):
    """A request each millisecond; those that had to wait are handled one after the other."""
    number = 0
    begin = time.monotonic()
    while (now := time.monotonic() - begin) < seconds:
        if number * 0.001 > now:
            time.sleep(0.001)
        else:
            handle(number)
            number += 1
    return number


if __name__ == "__main__":
    print("served", serve(float(sys.argv[1]) if len(sys.argv) > 1 else 2.0) > 0)
