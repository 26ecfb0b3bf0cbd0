"""memprof in pytest: it is there when memprof is installed, and costs nothing until asked for.

    @pytest.mark.limit_memory("24 MB")             the test's peak of traced memory
    @pytest.mark.no_leaks(warmup=3, repeat=12)     the test runs as often; what each run leaves
                                                   behind fails it
    --memprof [--memprof-top N]                    a table of the hungriest tests
    --memprof-baseline FILE                        fail tests that need more than they did
    --memprof-baseline FILE --memprof-update       write FILE anew

Works with pytest-xdist (the tests are measured where they run), with parametrised and
class-based tests, and with the plugins that run coroutines.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ..control import tracing
from ..model import units
from ..programs import outputs

_PROPERTY = "memprof"
_STACKS = 8  # kept of each test
_NOISE = 0.10  # of the baseline
_NOISE_BYTES = 64 * 1024
_VERSION = 1


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("memprof", "memory of tests (memprof)")
    group.addoption(
        "--memprof", action="store_true", help="measure each test; a table of the hungriest"
    )
    group.addoption(
        "--memprof-top", type=int, default=10, metavar="N", help="rows of the table (10)"
    )
    group.addoption(
        "--memprof-baseline",
        metavar="FILE",
        help="fail tests whose peak memory grew beyond the noise against FILE",
    )
    group.addoption("--memprof-update", action="store_true", help="write the baseline's FILE anew")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", 'limit_memory(size): fail the test when its peak exceeds size ("24 MB")'
    )
    config.addinivalue_line(
        "markers",
        "no_leaks(warmup=3, repeat=12): run the test that often; fail it when each run leaves "
        "something behind",
    )
    if config.getoption("memprof_update") and not config.getoption("memprof_baseline"):
        raise pytest.UsageError("--memprof-update needs --memprof-baseline FILE")
    plugin = _Plugin(config)
    config.stash[_KEY] = plugin


_KEY = pytest.StashKey["_Plugin"]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Wrong arguments of a marker are told before anything runs."""
    for item in items:
        if (marker := item.get_closest_marker("limit_memory")) is not None:
            _limit_of(marker)
        if (marker := item.get_closest_marker("no_leaks")) is not None:
            _repeats_of(marker)


def _limit_of(marker: pytest.Mark) -> int:
    if len(marker.args) != 1 or marker.kwargs:
        raise pytest.UsageError('limit_memory takes one size, as limit_memory("24 MB")')
    try:
        return units.parse_size(str(marker.args[0]))
    except ValueError as error:
        raise pytest.UsageError(f"limit_memory: {error}") from None


def _repeats_of(marker: pytest.Mark) -> tuple[int, int]:
    given = {"warmup": 3, "repeat": 12} | marker.kwargs
    if marker.args or given.keys() != {"warmup", "repeat"}:
        raise pytest.UsageError("no_leaks takes warmup= and repeat=")
    warmup, repeat = given["warmup"], given["repeat"]
    if not (isinstance(warmup, int) and isinstance(repeat, int) and warmup >= 0 and repeat >= 4):
        raise pytest.UsageError("no_leaks: warmup is 0 or more, repeat is 4 or more")
    return warmup, repeat


# ---- running a test ---------------------------------------------------------------------------


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function):
    """Around the call of the test's function, by whichever plugin makes it."""
    plugin = pyfuncitem.config.stash[_KEY]
    if plugin.is_repeating:
        yield
        return
    limit = pyfuncitem.get_closest_marker("limit_memory")
    leaks = pyfuncitem.get_closest_marker("no_leaks")
    if leaks is not None:
        outcome = yield from plugin.repeat(pyfuncitem, *_repeats_of(leaks))
    elif limit is not None or plugin.measures:
        outcome = yield from plugin.measure(pyfuncitem, limit and _limit_of(limit))
    else:
        outcome = yield
    del outcome


class _Plugin:
    def __init__(self, config: pytest.Config):
        self.config = config
        self.is_repeating = False
        self.update = config.getoption("memprof_update")
        path = config.getoption("memprof_baseline")
        self.path = Path(os.path.abspath(path)) if path else None
        if self.update and not hasattr(config, "workerinput"):
            self._check_writable()
        self.baseline = self._read() if self.path and not self.update else {}
        self.measures = bool(config.getoption("memprof") or self.path)
        self.rows: dict[str, dict] = {}  # of the tests that have run, where the table is made

    def _check_writable(self) -> None:
        if problem := outputs.problem_with(str(self.path)):
            raise pytest.UsageError(f"--memprof-baseline: {problem}")

    def _read(self) -> dict[str, dict]:
        try:
            document = json.loads(self.path.read_text("utf-8"))
            if document["format"] != "memprof-baseline" or document["version"] != _VERSION:
                raise ValueError("not a baseline of this version")
            return document["tests"]
        except OSError as error:
            raise pytest.UsageError(
                f"--memprof-baseline: cannot read '{self.path}': {error.strerror} "
                "(make it with --memprof-update)"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise pytest.UsageError(f"--memprof-baseline: '{self.path}': {error}") from None

    # ---- leaks ----

    def repeat(self, item: pytest.Function, warmup: int, repeat: int):
        from ..control.leak_check import LeakError, Samples, fail, grows

        samples = Samples()
        samples.begin()
        try:
            for turn in range(warmup + repeat):
                if turn == warmup:
                    samples.take()
                self._call(item)
                if turn >= warmup:
                    samples.take()
            report = samples.report(grows, "run")
        finally:
            samples.end()
        outcome = yield  # once more, for whoever else has an interest in the call
        if outcome.excinfo is None:
            try:
                fail(report)
            except LeakError as error:
                outcome.force_exception(pytest.fail.Exception(str(error), pytrace=False))
        return outcome

    def _call(self, item: pytest.Function) -> None:
        self.is_repeating = True
        try:
            item.ihook.pytest_pyfunc_call(pyfuncitem=item)
        finally:
            self.is_repeating = False

    # ---- memory ----

    def measure(self, item: pytest.Function, limit: int | None):
        ours = not tracing.is_tracing()
        if ours:
            tracing.start()
        tracing.reset_peak()
        before = tracing.get_traced_memory()[0]
        outcome = yield
        try:
            if not tracing.is_tracing():  # the test has stopped it
                return outcome
            row = _measured(before)
        finally:
            if ours:
                tracing.stop()
        item.user_properties.append((_PROPERTY, row))
        if outcome.excinfo is None:
            message = self._judge(item.nodeid, row, limit)
            if message:
                outcome.force_exception(pytest.fail.Exception(message, pytrace=False))
        return outcome

    def _judge(self, name: str, row: dict, limit: int | None) -> str | None:
        if limit is not None and row["peak"] > limit:
            return "\n".join(
                [
                    f"the test needed {units.size(row['peak'])} of memory at its peak, more "
                    f"than {units.size(limit)}",
                    *_stack_lines(row["stacks"], {}),
                ]
            )
        old = self.baseline.get(name)
        if old is None:
            return None
        allowed = max(old["peak"] * (1 + _NOISE), old["peak"] + _NOISE_BYTES)
        if row["peak"] <= allowed:
            return None
        return "\n".join(
            [
                f"the test's peak memory grew from {units.size(old['peak'])} to "
                f"{units.size(row['peak'])}; these call stacks grew:",
                *_stack_lines(row["stacks"], old["stacks"]),
            ]
        )


def _measured(before: int) -> dict:
    snapshot = tracing.take_snapshot()
    rows = snapshot.statistics("stack", metric="peak")[:_STACKS]
    facts = snapshot.facts
    return {
        "peak": max(facts["peak"] - before, 0),
        "allocated": facts["total_bytes"],
        "blocks": facts["total_blocks"],
        "stacks": {_stack_text(row.traceback): row.size for row in rows},
    }


def _stack_text(traceback) -> str:
    """The innermost frames, without the way from pytest to the test."""
    texts = []
    for frame in reversed(list(traceback)):
        if f"{os.sep}_pytest{os.sep}" in frame.filename:
            break
        texts.append(f"{_relative(frame.filename)}:{frame.lineno} in {frame.function}")
        if len(texts) == 4:
            break
    return "  <-  ".join(texts) or "<unknown>"


def _relative(path: str) -> str:
    try:
        relative = os.path.relpath(path)
    except (ValueError, OSError):
        return path
    return path if relative.startswith("..") else relative


def _without_lines(text: str) -> str:
    """A stack that has moved with an edit of its file is the same one."""
    return "  <-  ".join(
        place.rpartition(":")[0] + " in " + place.partition(" in ")[2]
        for place in text.split("  <-  ")
    )


def _stack_lines(now: dict[str, int], before: dict[str, int]) -> list[str]:
    old: dict[str, int] = {}
    for text, size in before.items():
        old[_without_lines(text)] = old.get(_without_lines(text), 0) + size
    rows = [(size - old.get(_without_lines(text), 0), size, text) for text, size in now.items()]
    rows.sort(reverse=True)
    if not before:
        return [f"  {units.size(size):>10}  {text}" for _, size, text in rows[:5]]
    return [
        f"  {units.size(grown, sign=True):>11}  now {units.size(size):>10}  {text}"
        for grown, size, text in rows[:5]
        if grown > 0
    ]


# ---- the end of the session --------------------------------------------------------------------


def _plugin_of(config: pytest.Config) -> _Plugin | None:
    return config.stash.get(_KEY, None)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """In the process that prints: with xdist the reports come from the workers."""
    if report.when != "call" or _session_plugin is None:
        return
    for name, value in report.user_properties:
        if name == _PROPERTY:
            _session_plugin.rows[report.nodeid] = value


_session_plugin: _Plugin | None = None


def pytest_sessionstart(session: pytest.Session) -> None:
    global _session_plugin
    _session_plugin = _plugin_of(session.config)


def pytest_sessionfinish(session: pytest.Session) -> None:
    plugin = _plugin_of(session.config)
    is_worker = hasattr(session.config, "workerinput")
    if plugin is None or is_worker or not plugin.update:
        return
    document = {"format": "memprof-baseline", "version": _VERSION, "tests": plugin.rows}
    temporary = plugin.path.with_name(f"{plugin.path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", "utf-8")
    os.replace(temporary, plugin.path)


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    plugin = _plugin_of(config)
    if plugin is None or not plugin.rows or not config.getoption("memprof"):
        return
    rows = sorted(plugin.rows.items(), key=lambda item: -item[1]["peak"])
    top = config.getoption("memprof_top")
    terminalreporter.section(
        f"memprof: the hungriest tests (top {min(top, len(rows))} of {len(rows)})"
    )
    terminalreporter.write_line("      peak  allocated     blocks   test")
    for name, row in rows[:top]:
        terminalreporter.write_line(
            f"{units.size(row['peak']):>10} {units.size(row['allocated']):>10} "
            f"{row['blocks']:>10,}   {name}"
        )
