"""Allocates, waits until its profile has been rewritten, and goes on or ends hard.

``living_on.py PROFILE kill | exit | wait``
"""

import os
import signal
import sys
import time

_, profile, how = sys.argv


def keep():
    return [bytes(1000) for _ in range(1000)]


def wait_for_rewrites(times):
    """A write that had begun before the allocation may be the first."""
    end = time.monotonic() + 120
    seen, changes = os.stat(profile).st_mtime_ns, 0
    while changes < times and time.monotonic() < end:
        now = os.stat(profile).st_mtime_ns
        changes += now != seen
        seen = now
        time.sleep(0.01)
    return changes


kept = keep()
print("rewritten", wait_for_rewrites(2), flush=True)
if how == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
elif how == "exit":
    os._exit(5)
time.sleep(120)
