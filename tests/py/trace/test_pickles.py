"""What crosses from one process to another as a pickle, as with pytest-xdist or a process pool."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import memprof
import pytest
from conftest import ROOT, environment
from memprof import Snapshot, find_growth

GOLDEN = ROOT / "tests" / "golden" / "leaks_in_section.mprof"


@pytest.fixture(scope="module")
def things():
    snapshot = Snapshot.load(GOLDEN)
    report = find_growth(snapshot)
    row = snapshot.statistics("stack")[0]
    return [
        row.traceback[-1],
        row.traceback,
        row,
        snapshot.compare_to(snapshot, "line")[0],
        report,
        report.leaks[0],
        report.leaks[0].holders[0],
    ]


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_round_trip(things, protocol):
    for thing in things:
        again = pickle.loads(pickle.dumps(thing, protocol))
        assert again == thing and type(again) is type(thing)
        assert str(again) == str(thing)
        assert copy.copy(thing) == thing


def test_classes_are_found_by_another_process(things, tmp_path):
    (tmp_path / "things").write_bytes(pickle.dumps(things))
    program = "import pickle, sys; print(*map(repr, pickle.load(open(sys.argv[1], 'rb'))), sep='|')"
    command = [sys.executable, "-c", program, tmp_path / "things"]
    said = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    assert said.stdout == "|".join(map(repr, things)) + "\n"


def test_filters_and_errors():
    filters = [memprof.Filter(True, "a*.py", 3, True, "raw"), memprof.DomainFilter(False, 7)]
    again = pickle.loads(pickle.dumps(filters))
    assert [vars(it) for it in again] == [vars(it) for it in filters]
    report = find_growth(Snapshot.load(GOLDEN))
    error = pickle.loads(pickle.dumps(memprof.LeakError("leaks", report)))
    assert (str(error), error.report) == ("leaks", report)
