"""Keep N small objects of a kind alive: live.py KIND N. Prints the peak RSS in bytes."""

import sys


class Point:
    __slots__ = ("x", "y", "z")

    def __init__(self, i):
        self.x = i
        self.y = None
        self.z = i + 1


MAKE = {
    "integers": lambda i: i + 1000,
    "strings": str,
    "tuples": lambda i: (i, i + 1),
    "objects with slots": Point,
    "dicts": lambda i: {"a": i},
}


def peak_rss():
    """VmHWM: ru_maxrss would count what the parent had at the time of the fork."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))


if __name__ == "__main__":
    make = MAKE[sys.argv[1]]
    objects = [make(i) for i in range(int(sys.argv[2]))]
    print("peak_rss", peak_rss())
