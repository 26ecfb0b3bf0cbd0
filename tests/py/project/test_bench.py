"""The parts of bench/ that can be checked without measuring anything."""

import json
import sys
import xml.dom.minidom
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def _bench_on_the_path(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))


PROFILE = """# callgrind format
version: 1
positions: line
events: Ir

ob=(1) /lib/_core.so
fl=(1) lib/py/alloc/hook.c
fn=(1) obj_malloc
10 5
+2 3
fi=(2) lib/tables/shadow.h
40 7
fe=(1)
* 1
cob=(2) /lib/libc.so
cfi=(3) malloc.c
cfn=(2) malloc
calls=4 99
12 4000

fn=(3) obj_free
20 2
ob=(2)
fl=(3)
fn=(2)
99 1000
"""


def test_callgrind_self_cost_by_file_line_and_calls(tmp_path):
    import callgrind

    path = tmp_path / "callgrind.out"
    path.write_text(PROFILE)
    profile = callgrind.read(path)
    assert profile.total == 5 + 3 + 7 + 1 + 2 + 1000  # without what callees cost
    assert profile.lines["/lib/_core.so", "lib/py/alloc/hook.c"] == Counter(
        {10: 5, 12: 3, 40: 1, 20: 2}
    )
    assert profile.lines["/lib/_core.so", "lib/tables/shadow.h"] == Counter({40: 7})
    assert profile.functions["/lib/_core.so", "obj_malloc"] == 16
    assert profile.functions["/lib/_core.so", "obj_free"] == 2
    assert profile.functions["/lib/libc.so", "malloc"] == 1000
    assert profile.calls == Counter({("/lib/libc.so", "malloc"): 4})


def test_functions_of_a_source():
    import callgrind

    owners = callgrind.functions_of(ROOT / "lib" / "tables" / "shadow.h")
    lines = (ROOT / "lib" / "tables" / "shadow.h").read_text().splitlines()
    inside = 1 + next(i for i, line in enumerate(lines) if "relaxed" in line and "load" in line)
    assert owners[inside] == "mp_word_load"
    assert owners[1] == ""


def test_budget_is_exceeded_only_above_the_slack():
    import instructions

    cost = instructions.Cost(0, 1, Counter(walk=206, tally=100), Counter(), Counter(), 1, 1)
    assert cost.per_pair == 306
    assert instructions.compare({"a": 306}, {"a": 300.0}) == []
    (line,) = instructions.compare({"a": 306}, {"a": 290.0})
    assert "306" in line and "290" in line
    assert instructions.compare({"a": 306}, {"other": 1.0}) == []


def test_every_part_of_the_core_has_a_name():
    import instructions

    assert instructions.part_of("lib/py/cpython/layout_311.h") == "walk"
    assert instructions.part_of("/somewhere/lib/tables/tally.h") == "tally"
    assert instructions.part_of("zlib.c") == instructions.OTHER


def test_ratio_is_of_medians_and_spread_of_rounds():
    from statistic import geomean, ratio, spread

    found = ratio([[2.0, 2.2], [2.0, 9.0]], [[1.0, 1.0], [1.0, 1.1]])
    assert found["ratio"] == pytest.approx(2.1)
    assert found["spread"] == pytest.approx((5.5 / 1.05 - 2.1) / 2, abs=1e-3)
    assert geomean([1.0, 4.0]) == pytest.approx(2.0)
    assert spread([]) == 0
    assert spread([1, 2, 3, 4, 100]) == 1  # one outlier of five does not count


def document(**changed) -> dict:
    """A result of bench/run.py with two benchmarks."""

    def one(ratio, spread):
        return {"ratios": {"memprof": {"ratio": ratio, "spread": spread}}, "failures": {}}

    ratios = {"json_loads": one(1.5, 0.02), "nbody": one(1.0, 0.1)} | changed.pop("benchmarks", {})
    totals = {"geomean": 1.22, "worst": 1.5, "worst_benchmark": "json_loads", "benchmarks": 2}
    return {
        "format": 1,
        "date": "2020-01-01",
        "where": {
            "python": "3.14.1",
            "compiler": "cc",
            "machine": "one",
            "missing": {},
            "packages": {"pyperf": "1"},
        },
        "overhead": {"benchmarks": ratios, "totals": {"memprof": totals}, "left_out": {}},
        "costs": {
            "startup": {
                "bare": {"median": 0.01, "spread": 0.001, "least": 0.01},
                "memprof": {"median": 0.05, "spread": 0.001, "least": 0.05},
            },
            "memory": {"2000000": {"tuples": {"bare": 100, "memprof": 124}}},
        }
        | changed,
    }


def test_compare_flags_what_is_above_the_spread(tmp_path, capsys, monkeypatch):
    import compare

    def one(ratio, spread):
        return {"ratios": {"memprof": {"ratio": ratio, "spread": spread}}, "failures": {}}

    old = document()
    new = document(benchmarks={"json_loads": one(1.6, 0.02), "nbody": one(1.1, 0.1)})
    flagged = [change for change in compare.changes(old, new, "memprof") if change.matters()]
    assert [change.what for change in flagged] == ["json_loads, slowdown"]
    assert flagged[0].is_worse()

    paths = [tmp_path / "old.json", tmp_path / "new.json"]
    for path, content in zip(paths, (old, new), strict=True):
        path.write_text(json.dumps(content))
    monkeypatch.setattr(sys, "argv", ["compare", *map(str, paths)])
    assert compare.main() == 1
    assert "WORSE  json_loads" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["compare", *map(str, reversed(paths))])
    assert compare.main() == 0
    assert "better json_loads" in capsys.readouterr().out
    paths[0].write_text("{}")
    assert compare.main() == 2


def test_more_blocks_a_second_are_better():
    import compare

    def rates(median):
        return {"memprof": {"2": {"median": median, "spread": 1.0, "least": median}}}

    changes = compare.changes(
        document(threads=rates(100.0)), document(threads=rates(50.0)), "memprof"
    )
    (change,) = [change for change in changes if change.what.startswith("threads")]
    assert change.is_worse()


def test_report_writes_between_the_marks_only(tmp_path, monkeypatch):
    import report

    readme = tmp_path / "README.md"
    readme.write_text(f"above\n{report.BEGIN}\nold\n{report.END}\nbelow\n")
    measured = tmp_path / "cpython-3.14.json"
    measured.write_text(json.dumps(document()))
    for name, target in (
        ("README", "README.md"),
        ("RESULTS", "results"),
        ("PAGE", "RESULTS.md"),
        ("PICTURE", "overhead.svg"),
    ):
        monkeypatch.setattr(report, name, tmp_path / target)
    report.publish([measured])
    text = readme.read_text()
    assert text.startswith("above\n") and text.endswith("\nbelow\n") and "old" not in text
    assert "| memprof, exact, full stacks | 1.22 | 1.50 (json_loads) | 2 |" in text
    assert "| 2,000,000 tuples | 0 MiB | 1.24× |" in text
    assert "| start-up over bare Python | ≤ 60 ms | 3.14: 40.0 ms |" in text
    picture = xml.dom.minidom.parse(str(tmp_path / "overhead.svg"))
    assert len(picture.getElementsByTagName("rect")) >= 5
    report.publish([measured])
    assert readme.read_text() == text


def test_tools_are_started_with_the_script_and_its_arguments():
    from tools import TOOLS

    command = TOOLS["memprof"].command("/v/bin/python", "a.py", ["-x"], "/tmp/f")
    assert command == ["/v/bin/python", "-m", "memprof", "-q", "a.py", "-x"]
    command = TOOLS["memory_profiler"].command("/v/bin/python", "a.py", [], "/tmp/f")
    assert command[:2] == ["/v/bin/python", "/v/bin/mprof"]


def test_outcomes_of_tests():
    import outcomes

    pytests = (
        "FAILED tests/a.py::b - assert 1\nERROR tests/c.py\n"
        "3 failed, 12 passed, 1 skipped in 2.31s\n"
    )
    one = outcomes.read(f"tests/a.py ..F\n{pytests}")
    assert one.passed == 12 and one.failed == ("tests/a.py::b", "tests/c.py")
    assert dict(one.counts) == {"failed": 3, "passed": 12, "skipped": 1}
    unit = outcomes.read(
        "FAIL: test_a (b.C)\n---\nRan 20 tests in 3.1s\n\nFAILED (failures=1, skipped=2)\n"
    )
    assert unit.passed == 17 and unit.failed == ("test_a (b.C)",)
    assert outcomes.read("Ran 3 tests in 1s\n\nOK\n").passed == 3
    assert outcomes.read("collected 12 items\nSegmentation fault") is None
    assert outcomes.difference(one, one) == ""
    assert "tests/c.py fails" in outcomes.difference(one, unit)


def test_a_process_is_measured_with_its_children(tmp_path):
    import resources
    from environment import TooLong

    child = "x = b'x' * (90 << 20); print(sum(range(10**6)))"
    words = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}]); "
    used = resources.run([sys.executable, "-c", f"{words} sys.exit(3)"], str(tmp_path), {}, 60)
    assert used.status == 3 and used.output == "499999500000\n"
    assert used.rss > 90 << 20 and used.cpu > 0
    with pytest.raises(TooLong):
        resources.run([sys.executable, "-c", "import time; time.sleep(60)"], "/", {}, 0.3)


def test_workloads_are_pinned_and_each_has_a_command():
    import software
    from tools import REAL

    for workload in software.WORKLOADS.values():
        assert all(software.version(name) for name in (*workload.needs, workload.archive) if name)
        words = workload.words(REAL["memprof"], "python", "/scratch")
        assert words[0] == "python" and not any("{" in word for word in words)


def test_table_of_real_programs():
    import tables

    runs = {"cpu": [1.0, 3.0], "wall": [1.0, 3.0], "rss": [50 << 20, 50 << 20]}
    ratio = {"ratio": 1.5, "spread": 0.1}
    total = {"geomean": 1.5, "worst": 1.5, "worst_workload": "one", "workloads": 1}
    one = {
        "title": "one",
        "packages": {"x": "1"},
        "runs": {"bare": runs, "memprof": runs},
        "ratios": {"memprof": {"cpu": ratio, "wall": ratio, "rss": ratio}},
        "differences": {"memprof": ["a fails"]},
        "failures": {"memray-all": "took more than 400 s"},
    }
    part = {
        "where": {"python": "3.11", "compiler": "cc", "machine": "m"},
        "left_out": {"two": "no network"},
        "totals": {"memprof": {"cpu": total, "rss": total}},
        "workloads": {"one": one},
    }
    assert "| one | 2.0 s / 50 MiB | 1.50 / 1.50 |" in tables.real({"real": part})
    assert "1.50 ±0.10 / 1.50 ±0.10" in tables.real({"real": part}, spreads=True)
    assert "x 1" in tables.real_heading(part)
    assert len(tables.real_notes({"real": part})) == 3 and tables.real_notes({}) == []
