"""What explains leaks is kept in profiles, and those of every version are readable."""

from __future__ import annotations

import pytest
from conftest import ROOT
from memprof import Snapshot, find_growth

GOLDEN = ROOT / "tests" / "golden"  # leaking.py there has made them

SESSION, STRING = "__main__.App.sitzungen[..] (dict) -> Sitzung", "__main__.App.halbe[..] (list)"
EXPECTED = [  # (function, objects, owners, retained bytes, part of, types, holders)
    (
        "öffne",
        (101, 0, 129866, None),
        {"__main__.Sitzung": 100, "tuple": 1},
        [(SESSION, 100, "class"), ("atexit -> tuple", 1, "atexit")],
    ),
    (
        "Sitzung.__init__",
        (100, 0, 110650, 0),
        {"bytearray": 100},
        [(f"{SESSION}.größe -> bytearray", 100, "class")],
    ),
    (
        "Sitzung.__init__",
        (62, 0, 4464, 0),
        {"list": 62},
        [(f"{SESSION}.nummern -> list", 62, "class")],
    ),
    (
        "merke",
        (49, 0, 4900, None),
        {"str": 49},
        [(f"{STRING} -> tuple[1] -> str", 49, "class")],
    ),
]


def described(leak):
    return (
        leak.traceback[-1].function,
        (leak.objects, leak.owners, leak.retained_bytes, leak.part_of),
        leak.types,
        [(holder.detail, holder.objects, holder.root) for holder in leak.holders],
    )


@pytest.mark.parametrize("name", ["leaks_in_note"])
def test_leaks_of_a_profile_that_is_kept(name):
    report = find_growth(Snapshot.load(GOLDEN / f"{name}.mprof"))
    assert [described(leak) for leak in report.leaks] == EXPECTED
    assert (report.unit, report.seconds, report.unfollowed) == ("request", 100.0, 0)
    assert report.leaks[0].holders[1].path == "atexit -> tuple"
