"""Loops that lie on one line, which no formatter may touch. Marked lines are known by it."""


def loops(n):
    for i in range(n): x = bytes(967)  # for
    while i: i -= 1; x = bytes(967)  # while
    for i in range(n):  # outer
        for _ in range(3): x = i  # inner
    return x


def loop():
    for i in range(10):  # for
        x = i > 5 and (i or 3) or (7 if i else 8)  # jumps
    while i: i -= 1  # loop
    return x
