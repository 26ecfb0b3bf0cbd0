"""A program that leaks. Its profile leaks_in_note.mprof was written once, by a memprof that kept
what explains leaks as text in the note; in leaks_in_section.mprof the same is in the section
for it. Both are kept as they are. From the directory of this file, copied to /tmp/golden:

    python -m memprof --leaks --every 1 -q -o leaks_in_note.mprof /tmp/golden/leaking.py

What put it into the section is at the end."""

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

# from ast import literal_eval
# snapshot = memprof.Snapshot.load("leaks_in_note.mprof")
# lines = [f"{key}={value}" for key, value in snapshot.notes.items()]
# rows = [(*row[:5], list(row[5].items()), row[6]) for row in literal_eval(lines.pop()[10:])]
# snapshot._core.explain(7, rows)
# snapshot._core.set_note("\n".join(lines[:-1]).encode())
# snapshot.dump("leaks_in_section.mprof")
