"""Line profiles beside debuggers, coverage and cProfile; decorators; tables."""

import asyncio
import contextlib
import functools
import inspect
import io
import json
import re
import sys
from importlib.util import find_spec

import memprof
import pytest
from conftest import environment, run, run_plain
from memprof import LineProfiler, profile, show_results

# ---- other tools at the same time ----------------------------------------------------------------


def traced():
    total = 0
    for i in range(3):
        total += helper(i)
    return total


def helper(i):
    return i + 1


def events_of(call):
    seen = []

    def tracer(frame, event, arg):
        if frame.f_code.co_filename == __file__:
            seen.append((event, frame.f_lineno))
        return tracer

    sys.settrace(tracer)
    try:
        call()
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(None)
    return [
        event
        for event in seen
        if event[1] >= traced.__code__.co_firstlineno
        and event[1] <= helper.__code__.co_firstlineno + 1
    ]


def test_a_trace_function_sees_the_same():
    plain = events_of(traced)
    prof = LineProfiler()
    prof.add_function(traced)
    with prof:
        both = events_of(traced)
    assert both == plain and len(plain) > 10
    assert [row["hits"] for row in prof.rows()] == [1, 1, 4, 3, 1]


def test_a_trace_function_that_is_set_within_a_profiled_function():
    seen = []

    def tracer(frame, event, arg):
        seen.append(event)
        return tracer

    def sets():
        sys.settrace(tracer)
        helper(1)
        sys.settrace(None)
        return bytearray(1000)

    prof = LineProfiler()
    assert len(prof(sets)()) == 1000
    assert seen.count("call") >= 1 and sys.gettrace() is None
    prof(sets)()
    assert prof.rows()[0]["hits"] == 2


def test_pdb_stops_in_a_profiled_function(tmp_path):
    (tmp_path / "x.py").write_text(
        "def f():\n    a = 1\n    breakpoint()\n    b = a + 1\n    return b\n"
        "from memprof.control.line_profiler import LineProfiler\np = LineProfiler()\n"
        "print('got', p(f)())\n"
    )
    result = run([sys.executable, "x.py"], cwd=tmp_path, stdin="p a + 41\nnext\np b\ncontinue\n")
    assert "42" in result.stdout and "got 2" in result.stdout and result.status == 0, result


@pytest.mark.parametrize("core", ["ctrace", "pytrace", "sysmon"])
def test_coverage_sees_the_same_lines(core, tmp_path):
    pytest.importorskip("coverage")
    if core == "sysmon" and sys.version_info < (3, 12):
        pytest.skip("sys.monitoring is of 3.12")
    if core == "ctrace" and not find_spec("coverage.tracer"):
        pytest.skip("coverage has no C tracer for this Python")
    (tmp_path / "mod.py").write_text(
        "def f(n):\n    if n:\n        x = 1\n    else:\n        x = 2\n    return g(x)\n"
        "def g(x):\n    return x\ndef never():\n    return 0\n"
    )
    (tmp_path / "main.py").write_text(
        "import sys, mod\nfrom memprof.control.line_profiler import LineProfiler\n"
        "p = LineProfiler()\np.add_function(mod.f)\n"
        "if sys.argv[1] == 'on':\n    p.enable()\nmod.f(1)\np.disable()\n"
        "assert sys.argv[1] != 'on' or p.rows()[0]['hits'] == 1\n"
    )
    missing = []
    for word in ("off", "on"):
        env = environment(COVERAGE_CORE=core, COVERAGE_FILE=str(tmp_path / f".{word}"))
        done = run(
            [sys.executable, "-m", "coverage", "run", "--include=*/mod.py", "main.py", word],
            cwd=tmp_path,
            env=env,
        )
        assert done.status == 0, done.stderr
        run([sys.executable, "-m", "coverage", "json", "-q", "-o", word], cwd=tmp_path, env=env)
        missing.append(
            json.loads((tmp_path / word).read_text())["files"]["mod.py"]["missing_lines"]
        )
    assert missing[0] == missing[1] == [5, 10]


def test_cprofile_counts_the_same():
    import cProfile
    import pstats

    counts = []
    for wrapped in (traced, LineProfiler()(traced)):
        profiler = cProfile.Profile()
        profiler.enable()
        wrapped()
        profiler.disable()
        stats = pstats.Stats(profiler, stream=io.StringIO()).stats
        counts.append({key[2]: value[0] for key, value in stats.items() if key[0] == __file__})
    assert counts[0]["helper"] == counts[1]["helper"] == 3
    assert counts[0]["traced"] == counts[1]["traced"] == 1


def test_deep_recursion_ends_as_it_does():
    code = """
import sys
from memprof.control.line_profiler import LineProfiler
sys.setrecursionlimit(int(sys.argv[1]))
def deep(n):
    return deep(n + 1)
prof = LineProfiler()
prof.add_function(LineProfiler.rows)
with prof:
    try: deep(0)
    except RecursionError: print("RecursionError")
def counted(n):
    return n and 1 + counted(n - 1)
print(LineProfiler()(counted)(500))
"""
    for limit in (1000, 200_000 if sys.version_info < (3, 12) else 5000):
        result = run_plain("-c", code, str(limit))
        assert (result.status, result.stdout) == (0, "RecursionError\n500\n"), result


# ---- decorators ----------------------------------------------------------------------------------


def kinds():
    def function(a, *, b=1):
        "doc"
        return a + b

    def generator(n):
        got = yield n
        return got

    async def coroutine(n):
        await asyncio.sleep(0)
        return n

    async def async_generator(n):
        try:
            got = yield n
            yield got
        finally:
            closed.append(n)

    return function, generator, coroutine, async_generator


closed = []


def test_profile_keeps_what_a_function_is():
    for plain, wrapped in zip(kinds(), map(profile(stream=io.StringIO()), kinds()), strict=True):
        for question in (
            inspect.isgeneratorfunction,
            inspect.iscoroutinefunction,
            inspect.isasyncgenfunction,
        ):
            assert question(plain) == question(wrapped), plain
        assert wrapped.__name__ == plain.__name__ and wrapped.__doc__ == plain.__doc__
        assert inspect.signature(wrapped) == inspect.signature(plain)
        assert wrapped.__wrapped__.__code__ is plain.__code__


def test_profile_runs_every_kind_and_prints_each_call():
    stream = io.StringIO()
    function, generator, coroutine, async_generator = map(profile(stream=stream), kinds())
    assert function(1, b=3) == 4 and function(2) == 3
    steps = generator(7)
    assert next(steps) == 7
    with pytest.raises(StopIteration) as end:
        steps.send("x")
    assert end.value.value == "x"
    assert asyncio.run(coroutine(9)) == 9

    async def main():
        items = async_generator(5)
        assert await items.__anext__() == 5
        assert await items.asend("sent") == "sent"
        await items.aclose()

    asyncio.run(main())
    assert closed == [5]
    text = stream.getvalue()
    assert text.count("in kinds.<locals>.function") == 2
    for name in ("generator", "coroutine", "async_generator"):
        assert f"in kinds.<locals>.{name}\n" in text
    assert not memprof.is_tracing()


def test_methods_properties_and_partial_objects():
    stream = io.StringIO()
    mark = profile(stream=stream)

    class Thing:
        @mark
        def method(self):
            return bytearray(11_000)

        @staticmethod
        @mark
        def static():
            return 2

        @mark
        @classmethod
        def of_class(cls):
            return cls

        @mark
        @property
        def value(self):
            return 4

        @functools.cached_property
        def cached(self):
            return 5

    thing = Thing()
    assert len(thing.method()) == 11_000 and thing.static() == Thing.static() == 2
    assert Thing.of_class() is Thing and thing.value == 4
    for name in ("method", "static", "of_class", "value"):
        assert f"Thing.{name}\n" in stream.getvalue()
    prof = LineProfiler()
    prof.add_function(Thing)
    prof.add_function(functools.partial(traced))
    names = [function.name.rpartition(".")[2] for function in prof.functions]
    assert names == ["method", "static", "of_class", "value", "cached", "traced"]
    with pytest.warns(UserWarning, match="Could not extract a code object"):
        prof.add_function(len)


def test_profile_is_switched_off_by_the_environment(monkeypatch):
    monkeypatch.setenv("MEMPROF_PROFILE", "0")
    assert profile(traced) is traced and profile(precision=2)(traced) is traced


def test_rows_and_pandas():
    prof = LineProfiler()
    prof(traced)()
    rows = prof.rows()
    assert set(rows[0]) == {
        "file",
        "line",
        "hits",
        "allocated",
        "freed",
        "net",
        "peak",
        "rss",
        "source",
    }
    assert all(row["net"] == row["allocated"] - row["freed"] for row in rows)
    assert [row["source"].strip() for row in rows][0] == "def traced():"
    pandas = pytest.importorskip("pandas")
    frame = prof.to_pandas()
    assert isinstance(frame, pandas.DataFrame) and list(frame["hits"]) == [1, 1, 4, 3, 1]


def test_add_module_and_context_manager():
    import textwrap

    prof = LineProfiler()
    assert prof.add_module(textwrap) > 5
    with prof as entered:
        textwrap.dedent("  a\n  b")
    assert entered is prof and {row["file"] for row in prof.rows()} == {textwrap.__file__}
    assert prof.runctx("x = dedent(y)", {"dedent": textwrap.dedent, "y": " z"}, {}) is prof
    assert prof.rows()[0]["hits"] == 2


# ---- tables --------------------------------------------------------------------------------------


def table_of(prof, **options):
    stream = io.StringIO()
    show_results(prof, stream, **options)
    return stream.getvalue()


def test_the_table_is_aligned_and_says_what_it_counts():
    prof = LineProfiler()
    prof(traced)()
    lines = table_of(prof).splitlines()
    assert lines[0].startswith("Hits: ") and lines[1].startswith("Peak: ")
    header = next(i for i, line in enumerate(lines) if line.startswith("Line #"))
    assert lines[header].split() == "Line # Hits Allocated Freed Net Peak RSS Line Contents".split()
    assert set(lines[header + 1]) == {"="} and len(lines[header + 1]) == len(lines[header])
    column = lines[header].index("Line Contents")
    body = [line for line in lines[header + 2 :] if line]
    assert [line[column:] for line in body] == inspect.getsource(traced).splitlines()
    assert all(line[column - 1] == " " for line in body)
    assert re.search(r" \d\.\d{3} MiB", table_of(prof, precision=3))
    with pytest.raises(ValueError):
        show_results(prof, table="other")


def test_a_profiler_that_saw_nothing_says_so():
    prof = LineProfiler()
    prof.add_function(traced)
    assert table_of(prof) == "memprof: no lines to show, not called: traced\n"
    assert "none of the functions was called" in prof._repr_html_()


def test_nothing_of_ours_is_left():
    before = dict(vars(__import__("builtins")))
    with contextlib.redirect_stdout(io.StringIO()):
        profile(traced)()
    assert dict(vars(__import__("builtins"))) == before
    assert sys.gettrace() is None and sys.getprofile() is None
