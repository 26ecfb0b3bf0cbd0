"""What explains leaks is kept in profiles, and those of every version are readable."""

from __future__ import annotations

import pytest
from conftest import ROOT, run_traced
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


@pytest.mark.parametrize(("name", "unfollowed"), [("leaks_in_note", 0), ("leaks_in_section", 7)])
def test_leaks_of_a_profile_that_is_kept(name, unfollowed):
    report = find_growth(Snapshot.load(GOLDEN / f"{name}.mprof"))
    assert [described(leak) for leak in report.leaks] == EXPECTED
    assert (report.unit, report.seconds, report.unfollowed) == ("request", 100.0, unfollowed)
    assert report.leaks[0].holders[1].path == "atexit -> tuple"


def test_explanations_are_no_notes():
    assert "explained" not in Snapshot.load(GOLDEN / "leaks_in_section.mprof").notes


def test_what_is_explained_is_kept_in_the_profile(tmp_path):
    path = tmp_path / "profile"
    run_traced(GOLDEN / "leaking.py", memprof=("--leaks", "--every", "1", "-q", "-o", path))
    snapshot = Snapshot.load(path)
    report = find_growth(snapshot)
    assert report.leaks[0].type_name == "__main__.Sitzung"
    assert report.leaks[0].holders[0].detail == SESSION
    assert {"explained", "unfollowed"}.isdisjoint(snapshot.notes)
    snapshot.dump(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


ROWS = [
    (
        9,
        1,
        2,
        3,
        -1,
        [("a.\udcff", 1), ("", 2**64 - 1)],
        [("é", 1, "module", "\ud800"), ("", 0, "", "")],
    ),
    (0, 2**64 - 1, 0, 0, 9, [], []),
]


def test_explanations_of_any_text_and_number(tmp_path):
    snapshot = Snapshot.load(GOLDEN / "leaks_in_note.mprof")
    assert snapshot._core.explained() == (0, [])
    snapshot._core.explain(2**64 - 1, ROWS)
    assert snapshot._core.explained() == (2**64 - 1, ROWS)
    snapshot.dump(tmp_path / "profile")
    again = Snapshot.load(tmp_path / "profile")
    assert again._core.explained() == (2**64 - 1, ROWS)
    again._core.explain(0, [])
    assert again._core.explained() == (0, [])
    assert snapshot.filter_traces([])._core.explained() == (0, [])


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ((999, 1, 2, 3, -1, [], []), ValueError),  # no such stack
        ((1, 1, 2, 3, 999, [], []), ValueError),
        ((1, 1, 2, 3, -1, [], [[]]), TypeError),
        ((1, 1, 2, 3, -1, [("a",)], []), TypeError),
        ((1, 1, 2, 3, -1, [], [("a", 1, "b", b"c")]), TypeError),
        ((1, 1, 2), TypeError),
        ([], TypeError),
    ],
)
def test_wrong_explanations_change_nothing(row, error):
    snapshot = Snapshot.load(GOLDEN / "leaks_in_section.mprof")
    before = snapshot._core.explained()
    with pytest.raises(error):
        snapshot._core.explain(0, [ROWS[1], row])
    assert snapshot._core.explained() == before
