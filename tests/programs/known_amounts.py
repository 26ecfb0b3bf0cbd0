"""Allocates known amounts in known places; test_cli.py compares them with the reports."""

import sys

MIB = 1 << 20


def at_the_peak():
    data = bytearray(50 * MIB)  # 50 MiB, once
    return len(data)


def kept():
    result = []
    for _ in range(300):
        result.append(bytes(9_967))  # 10,000 bytes each, with the header
    return result


def passing():
    for _ in range(4000):
        bytearray(20_000)  # 80 MB in all, one after the other


KEPT = kept()
print(at_the_peak())
passing()
if "ten_places" in sys.argv:
    A = bytes(100_001)
    B = bytes(100_002)
    C = bytes(100_003)
    D = bytes(100_004)
    E = bytes(100_005)
    F = bytes(100_006)
    G = bytes(100_007)
    H = bytes(100_008)
    I = bytes(100_009)  # noqa: E741
    J = bytes(100_010)
    K = bytes(100_011)
