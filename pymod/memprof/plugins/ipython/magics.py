"""IPython's %mprun, %memit and %%memprof: ``%load_ext memprof``."""

from __future__ import annotations

import ast
import asyncio
import builtins
import contextlib
import gc
import html
import importlib
import io
import os
import shutil
import sys
import time
import types
from collections.abc import Iterator

from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, line_cell_magic, magics_class

from ... import _core
from ...control import measuring, tracing
from ...control.line_profiler import LineProfiler
from ...model.snapshot import METRICS
from ...programs import outputs, wrapping
from ...quiet import quiet
from ...views import console, line_tables, source, summary
from ...views.html import sites
from . import awaiting
from .errors import compiling, hides_us

_MPRUN_OPTIONS = "rf:T:cm:pe"
_MEMIT_OPTIONS = "r:t:i:coq"
_MEMPROF_OPTIONS = "b:m:n:"
_NOTHING = object()


@contextlib.contextmanager
def _builtin_profile(prof: LineProfiler):
    """``@profile`` in the statement means this profiler."""
    before = vars(builtins).get("profile", _NOTHING)
    builtins.profile = prof
    try:
        yield
    finally:
        if before is _NOTHING:
            del builtins.profile
        else:
            builtins.profile = before


class _Report:
    """What a magic shows: lines for terminals, HTML for notebooks."""

    def __init__(self, lines: list[console.Line], html: str):
        self.lines = lines
        self.html = html

    def __repr__(self) -> str:
        stream = io.StringIO()
        console.write(self.lines, stream)
        return stream.getvalue().rstrip("\n")

    def _repr_html_(self) -> str:
        return self.html

    def show(self, shell) -> None:
        from IPython.core.page import page
        from IPython.display import display

        if type(shell).__name__ == "ZMQInteractiveShell":
            display(self)
        elif len(self.lines) >= shutil.get_terminal_size().lines and console.is_terminal(
            sys.stdout
        ):
            page(repr(self))
        else:
            console.write(self.lines, sys.stdout)


@magics_class
class MemprofMagics(Magics):
    """Memory of statements and cells."""

    # ---- %mprun

    @line_cell_magic
    @hides_us
    def mprun(self, line: str = "", cell: str | None = None):
        """Run a statement and show what the lines of functions allocate.

        %mprun -f FUNC [-f FUNC ...] [-m MODULE] [-T FILE] [-r] [-c] [-p] [-e] statement

        In cell mode the statement is the rest of the first line and the cell.

        -f FUNC: a function, method or class to profile; may be given several times.
        -m MODULE: all functions of a module.
        -T FILE: also write the text of the tables to a file.
        -r: return the LineProfiler (rows(), to_pandas(), code_map).
        -c: resident memory with that of child processes.
        -p: memory_profiler's table instead: Mem usage, Increment, Occurrences.
        -e: read resident memory at the end of every line.
        """
        __tracebackhide__ = True  # IPython then shows the user's frames alone
        options, statement = self._parse(line, _MPRUN_OPTIONS, "mprun")
        if cell is not None:
            statement += "\n" + cell
        prof = LineProfiler(include_children="c" in options, every_line="e" in options)
        for name in options.get("f", []):
            self._add_function(prof, name)
        for name in options.get("m", []):
            self._add_module(prof, name)
        files = [self._output(path.strip("\"'")) for path in options.get("T", [])]
        code = self._compile(statement)
        return self._run(
            code,
            lambda: self._profiling(prof, "p" in options, files),
            lambda _: prof if "r" in options else None,
        )

    @contextlib.contextmanager
    def _profiling(self, prof: LineProfiler, is_compatible: bool, files: list[tuple[str, str]]):
        message, cancelled = "", None
        try:
            with _builtin_profile(prof), prof:
                yield
        except SystemExit:
            message = "*** SystemExit exception caught in code being profiled."
        except KeyboardInterrupt:
            message = "*** KeyboardInterrupt exception caught in code being profiled."
        except asyncio.CancelledError as error:  # how code that awaits is interrupted
            message = "*** the code being profiled was cancelled."
            cancelled = error
        self._show_lines(prof, is_compatible)
        if message:
            print(message)
        for file in files:
            self._write(*file, self._text(prof, is_compatible), message)
        if cancelled is not None:
            raise cancelled

    def _run(self, code, manager, result):
        """Run code in what ``manager`` gives; ``result`` is asked with that."""
        __tracebackhide__ = True
        spaces = self.shell.user_global_ns, self.shell.user_ns

        async def awaited():
            __tracebackhide__ = True
            with manager() as managed:
                await eval(code, *spaces)
            return result(managed)

        if awaiting.does_await(code):
            return awaiting.run(self.shell, awaited)
        with manager() as managed:
            exec(code, *spaces)
        return result(managed)

    def _parse(self, line: str, options: str, magic: str) -> tuple[dict, str]:
        """{option: [values]} and the statement, as it was typed."""
        try:
            parsed, statement = self.parse_options(
                line, options, posix=False, strict=False, list_all=True, preserve_non_opts=True
            )
        except UsageError as error:
            raise UsageError(f"%{magic}: {error}") from None
        values = {
            name: values if isinstance(values, list) else [values]
            for name, values in parsed.items()
        }
        return values, statement

    def _add_function(self, prof: LineProfiler, name: str) -> None:
        try:
            function = eval(name, self.shell.user_global_ns, self.shell.user_ns)
        except Exception as error:
            raise UsageError(
                f"Could not find function {name!r}.\n{type(error).__name__}: {error}"
            ) from None
        if not _has_code(function):
            raise UsageError(f"{name!r} is no Python function: {type(function).__name__}")
        prof.add_function(function)

    def _add_module(self, prof: LineProfiler, name: str) -> None:
        try:
            module = importlib.import_module(name)
        except Exception as error:
            raise UsageError(
                f"Could not import module {name!r}.\n{type(error).__name__}: {error}"
            ) from None
        if not prof.add_module(module):
            raise UsageError(f"module {name!r} has no Python functions")

    def _compile(self, statement: str):
        """Its code, whose source can be shown."""
        with quiet, compiling(self.shell):
            text = self.shell.transform_cell(statement)
            name = self.shell.compile.cache(text, self.shell.execution_count, raw_code=statement)
            return awaiting.compile_code(self.shell, text, name)

    def _show_lines(self, prof: LineProfiler, is_compatible: bool) -> None:
        with quiet:
            if is_compatible:
                lines = [console.line(line) for line in self._text(prof, True).splitlines()]
                report = _Report(lines, f"<pre>{html.escape(self._text(prof, True))}</pre>")
            else:
                width = console.width(sys.stdout)
                report = _Report(line_tables.report_lines(prof, width=width), prof._repr_html_())
            report.show(self.shell)

    @staticmethod
    def _text(prof: LineProfiler, is_compatible: bool) -> str:
        stream = io.StringIO()
        if is_compatible:
            line_tables.write_compatible(prof, stream)
        else:
            line_tables.write(prof, stream)
        return stream.getvalue().rstrip()

    @staticmethod
    def _output(name: str) -> tuple[str, str]:
        """A file that can be written, and its path wherever the statement goes."""
        try:
            outputs.check_writable(name)
        except OSError as error:
            raise UsageError(f"cannot write {name!r}: {error.strerror}") from None
        return name, os.path.abspath(name)

    @staticmethod
    def _write(name: str, path: str, text: str, message: str) -> None:
        try:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text + "\n")
        except OSError as error:
            raise UsageError(f"cannot write {name!r}: {error.strerror}") from None
        print(f"\n*** Profile printout saved to text file {name}. {message}")

    # ---- %memit

    @line_cell_magic
    @hides_us
    def memit(self, line: str = "", cell: str | None = None):
        """Measure the peak memory of a statement.

        %memit [-r R] [-t T] [-i I] [-c] [-o] [-q] statement

        In cell mode the first line is set-up, which is not measured.

        -r R: run it R times; the spread is shown too. Default: 1
        -t T: begin no further run after T seconds.
        -i I: seconds between two looks at child processes (0.1); not needed otherwise.
        -c: resident memory with that of child processes.
        -o: return the MemitResult.
        -q: print nothing.

        The increment is the larger of two: how far traced memory rose above where it began, and how
        far resident memory did (the kernel's own high-water mark).
        """
        __tracebackhide__ = True
        options, statement = self._parse(line, _MEMIT_OPTIONS, "memit")
        setup = ""
        if cell is not None:
            setup, statement = statement, cell
        number = lambda name, kind, default: self._number(options, name, kind, default)  # noqa: E731
        repeat = max(1, number("r", int, 1))
        timeout = number("t", float, 0.0)
        interval = number("i", float, 0.1)
        code, before = self._compile(statement), self._compile(setup)
        spaces = self.shell.user_global_ns, self.shell.user_ns
        result = measuring.MemitResult(repeat, timeout or None, interval, "c" in options)
        runs = self._runs(code, result)

        async def awaited():
            __tracebackhide__ = True
            value = eval(before, *spaces)
            if awaiting.does_await(before):
                await value
            for measured in runs:
                with measured:
                    value = eval(code, *spaces)
                    if awaiting.does_await(code):
                        await value
            return self._say(result, options)

        if awaiting.does_await(code) or awaiting.does_await(before):
            return awaiting.run(self.shell, awaited)
        exec(before, *spaces)
        for measured in runs:
            with measured:
                exec(code, *spaces)
        return self._say(result, options)

    @staticmethod
    def _runs(code, result: measuring.MemitResult) -> Iterator[measuring.Measuring]:
        """One for each run, until there are enough or it is late."""
        end = time.monotonic() + (result.timeout or 0)
        for _ in range(result.repeat):
            gc.collect()
            measured = measuring.Measuring(code, result.interval, result.include_children)
            yield measured
            result.add(measured.measure)
            if result.timeout and time.monotonic() >= end:
                break

    @staticmethod
    def _say(result: measuring.MemitResult, options: dict):
        if "q" not in options:
            print(result)
        return result if "o" in options else None

    @staticmethod
    def _number(options: dict, name: str, kind: type, default):
        if name not in options:
            return default
        try:
            value = kind(options[name][-1])
            if not 0 <= value < 1e9:
                raise ValueError
        except ValueError:
            raise UsageError(f"%memit: -{name} wants a number, not {options[name][-1]!r}") from None
        return value

    # ---- %%memprof

    @cell_magic
    @hides_us
    def memprof(self, line: str, cell: str):
        """Trace a cell and show which sites allocate the most.

        %%memprof [-b line|file|function|stack] [-m peak|live|total] [-n ROWS]

        -b: what to sum up by. Default: line
        -m: peak: live when traced memory was at its maximum; live: still alive at the end of
            the cell; total: all allocations. Default: peak
        -n: how many rows. Default: 10
        """
        __tracebackhide__ = True
        options, rest = self._parse(line, _MEMPROF_OPTIONS, "%memprof")
        if rest.strip():
            raise UsageError(f"%%memprof: what is {rest.strip()!r}? The code goes below")
        by = options.get("b", ["line"])[-1]
        metric = options.get("m", ["peak"])[-1]
        top = max(1, self._number(options, "n", int, 10))
        if by not in ("line", "file", "function", "stack") or metric not in METRICS:
            raise UsageError(f"%%memprof: no such option: -b {by} -m {metric}")
        parts = self._parts_of_cell(cell)
        if tracing.is_tracing():
            print("memprof is tracing already: the numbers are those of the whole trace")

        async def awaited():
            __tracebackhide__ = True
            value = None
            with self._tracing(by, metric, top):
                for code in parts:
                    value = await self._awaited(code)
            return value

        if any(map(awaiting.does_await, parts)):
            return awaiting.run(self.shell, awaited)
        value = None
        with self._tracing(by, metric, top):
            for code in parts:
                value = self._run_part(code)
        return value

    @contextlib.contextmanager
    def _tracing(self, by: str, metric: str, top: int):
        """A trace in which only what runs in _run_part() and _awaited() is seen of this thread."""
        with quiet:
            with tracing.trace() as trace:
                yield
            _Report(
                summary.top_lines(trace.snapshot, by, metric, top),
                sites.document_part(trace.snapshot, by, metric, top),
            ).show(self.shell)

    def _run_part(self, code):
        __tracebackhide__ = True
        # Were the code run as code, Python would make this function, and the trace would have it.
        return _core.run_call(types.FunctionType(code, self.shell.user_ns), ())

    async def _awaited(self, code):
        __tracebackhide__ = True
        if not awaiting.does_await(code):
            return self._run_part(code)
        coroutine = eval(code, self.shell.user_global_ns, self.shell.user_ns)
        before = _core.quiet(False)  # for all that runs in the loop meanwhile, too
        try:
            return await coroutine
        finally:
            _core.quiet(before)

    def _parts_of_cell(self, cell: str) -> list:
        """The cell's code, and that of its last expression (or None). The source can be shown."""
        with quiet, compiling(self.shell):
            text = self.shell.transform_cell(cell)
            name = self.shell.compile.cache(text, self.shell.execution_count, raw_code=cell)
            tree = self.shell.compile.ast_parse(text, name)
            last = ast.Expression(ast.Constant(None, lineno=1, col_offset=0))
            if tree.body and isinstance(tree.body[-1], ast.Expr) and not _is_silent(cell):
                last = ast.Expression(tree.body.pop().value)
            return [
                awaiting.compile_code(self.shell, tree, name),
                awaiting.compile_code(self.shell, last, name, "eval"),
            ]

    # ---- top-level await in a kernel

    def code_of(self, magic: str, arguments: list[str]):
        """The code that a magic would run: see awaiting.transformer()."""
        if magic == "memprof":
            return self._compile(arguments[1])
        options = _MPRUN_OPTIONS if magic == "mprun" else _MEMIT_OPTIONS
        statement = self._parse(arguments[0], options, magic)[1]
        return self._compile("\n".join([statement, *arguments[1:]]))


def _is_silent(cell: str) -> bool:
    return cell.rstrip().endswith(";")


def _has_code(thing: object) -> bool:
    return any(True for _ in wrapping.codes_of(thing))


def _name_of_cell(shell, filename: str) -> str | None:
    """``Cell In[3]``, as IPython calls it in tracebacks; None for what is no cell."""
    format_code_name = getattr(shell.compile, "format_code_name", None)  # not in IPython 8.0
    named = format_code_name and format_code_name(filename)
    return " ".join(named) if named else None


def load(shell) -> None:
    """Register the magics; a second time changes nothing."""
    if shell.magics_manager.registry.get(MemprofMagics.__name__) is None:
        magics = MemprofMagics(shell)
        shell.register_magics(magics)
        source.name_of_cell = lambda filename: _name_of_cell(shell, filename)
        if getattr(shell, "kernel", None) is not None:
            shell.input_transformers_post.append(awaiting.transformer(magics.code_of))
