"""A program that leaks: its profiles are tests/golden/leaks_in_note.mprof and leaks_in_section.mprof.

Each was written once, the first by a memprof that kept what explains leaks as text in the note, and is
kept as it is; from the directory of this file, copied to /tmp/golden:

    python -m memprof --leaks --every 1 -q -o leaks_in_section.mprof /tmp/golden/leaking.py
"""

import memprof


class Sitzung:
    def __init__(self, number):
        self.größe = bytearray(1000 + number)
        self.nummern = [number, number + 1]


class App:
    sitzungen: dict = {}
    halbe: list = []


def öffne(number):
    App.sitzungen[number] = Sitzung(number)


def merke(number):
    App.halbe.append((number, "x" * number))


for turn in range(100):
    öffne(turn)
    if turn % 2:
        merke(turn)
    memprof.mark("request")
