"""``memprof [run]``: trace a program that knows nothing of it, and report when it is over."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import shlex
import sys

from .. import _core, export
from ..control import allocators, tracing
from ..programs import outputs, program
from ..views import console
from . import VERBS, options
from .options import fail

_VALUE_OPTIONS = {"-o", "--output", "--by", "--metric", "--top", "--format", "--checkpoint"}
_VALUE_OPTIONS |= {"--every", "--malloc"}
_PRELOAD_MARK = "_MEMPROF_LD_PRELOAD"

_DESCRIPTION = """\
Trace every Python allocation of a program, with its full call stack, and report what was
live when memory was at its peak. The program runs as without memprof: same arguments,
output and exit status; the report goes to stderr."""

_EXAMPLES = """\
examples:
  memprof script.py arg ...           what was live at the peak, by source line
  memprof --by stack --top 3 -m pkg   the same by full call stack, of a module
  memprof --leaks service.py          what grew through the whole run
  memprof -o new.mprof script.py      also keep a profile, for the verbs below
  memprof diff old.mprof new.mprof --fail-on-growth 1MB

verbs:
"""


def _parser() -> options.Parser:
    verbs = "".join(f"  memprof {verb:<6} {what}\n" for verb, what in VERBS.items())
    parser = options.Parser(
        prog="memprof",
        usage="memprof [run] [options] (script.py | -m module | -c code) [arguments]",
        description=_DESCRIPTION,
        epilog=_EXAMPLES + verbs,
    )
    parser.add_argument("--version", action="version", version=f"memprof {_core.version}")
    parser.add_argument(
        "--leaks", action="store_true", help="report what grew through the whole run, not the peak"
    )
    parser.add_argument(
        "--every",
        type=options.positive,
        default=0,
        metavar="N",
        help="with --leaks: judge by marked units of work (memprof.mark), a look after each N, "
        "instead of by time",
    )
    parser.add_argument(
        "--free-lists",
        action="store_true",
        help="give objects that Python makes in the place of older ones (floats, tuples, lists) "
        "their own call stack; Python 3.13 and later, and slower",
    )
    parser.add_argument(
        "--fail-on-leak",
        action="store_true",
        help="with --leaks: end with exit status 3 when there is one and the program has ended "
        "with 0",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="keep the profile in FILE (with --format json: the JSON report); a forked child "
        "writes FILE.<pid>",
    )
    parser.add_argument(
        "--checkpoint",
        type=options.seconds,
        default=10.0,
        metavar="SECONDS",
        help="rewrite FILE this often, so that a killed process leaves one (default: 10)",
    )
    parser.add_argument(
        "--malloc",
        choices=("default", "jemalloc"),
        default="default",
        help="run with jemalloc in place of the C library's malloc, and report its statistics",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="print no report")
    options.add_report_options(parser, "summary", "leaks", metric="peak")
    return parser


class _Session:
    """One traced run, from the start of the program to the report."""

    def __init__(self, settings, traced: program.Program):
        self.settings = settings
        self.traced = traced
        self.pid = os.getpid()
        self.path = list(sys.path)
        self.stderr = sys.stderr
        self.output: str | None = None  # absolute: the program may go elsewhere
        self.is_new_output = False
        self.failed = False  # the program has an exit status of its own

    def start(self) -> None:
        """Begin to trace. The report is made by the very last exit handler, when the program's
        threads and its own handlers are over."""
        atexit.register(self.finish)
        _core.quiet(True)  # our own allocations; running the program ends it for its time
        try:
            if self.settings.leaks:
                from . import so_far
            if self.settings.output is not None:
                self._prepare_output(self.settings.output)
            tracing.start(
                series=self.settings.leaks,
                output=None if self.keeps_report else self.output,
                checkpoint=self.settings.checkpoint,
                every=self.settings.every,
                free_lists=self.settings.free_lists,
                notes={"command": shlex.join(self.traced.command)},
            )
        except OSError as error:
            raise program.ProgramError(
                f"cannot write '{self.settings.output}': {error.strerror}"
            ) from None
        except (ValueError, RuntimeError, MemoryError) as error:
            raise program.ProgramError(str(error) or "not enough memory for the trace") from None
        if self.settings.leaks:
            so_far.install(self)
        # What the program has left on is not to see our exit handlers.
        atexit.register(sys.setprofile, None)
        atexit.register(sys.settrace, None)

    @property
    def keeps_report(self) -> bool:
        """What -o keeps is the report, not the profile."""
        return self.settings.format != export.TEXT

    def _prepare_output(self, path: str) -> None:
        self.output = os.path.abspath(path)
        self.is_new_output = not os.path.lexists(path)
        if self.keeps_report:
            outputs.check_writable(path)

    def cancel(self) -> None:
        atexit.unregister(self.finish)
        tracing.stop()
        if self.is_new_output:
            with contextlib.suppress(OSError):
                os.unlink(self.output)
        _core.quiet(False)

    def finish(self) -> None:
        if not tracing.is_tracing():
            if os.getpid() == self.pid and not self.settings.quiet:
                self._say("no report: the program has stopped the trace itself")
            return
        collects = gc.isenabled()
        gc.disable()  # the program's garbage is collected when the interpreter does it
        try:
            self._finish()
        except MemoryError:
            if self.output is not None or not self.settings.quiet:
                self._say("no report: not enough memory for it")
        finally:
            if collects:
                gc.enable()

    def _finish(self) -> None:
        _core.quiet(True)
        if os.getpid() != self.pid:
            tracing.save_output()
            return
        if self.settings.leaks:
            gc.collect()
            _core.clear_type_cache()
        if self.settings.quiet and self.output is None and not self.settings.leaks:
            tracing.stop()  # nobody asks for its numbers
            return
        snapshot, growth = self._end_trace()
        if self.output is not None and not self.keeps_report:
            self._write(snapshot.dump)
        sys.path[:] = self.path  # a module of the program must not stand in for one of ours
        if not self.settings.quiet or (self.keeps_report and self.output is not None):
            self._report(snapshot, growth)
        if growth is not None and growth.leaks and self.settings.fail_on_leak and not self.failed:
            _core.exit_with(options.LEAKED)

    def _end_trace(self):
        snapshot = tracing.final_snapshot()
        growth = self._find_growth(snapshot) if self.settings.leaks else None
        split = allocators.split_live_memory()  # later: to look at the tables makes them larger
        reached = _core.is_reached()
        tracing.stop()
        allocators.complete(snapshot, split)
        if not reached and (self.output is not None or not self.settings.quiet):
            self._say(
                "another tool has replaced Python's allocators (tracemalloc.stop()?): the "
                "numbers end where that happened"
            )
        return snapshot, growth

    def _find_growth(self, snapshot):
        """While the program's objects are still there."""
        from ..control.growth import find_growth

        try:
            return find_growth(snapshot, explain=True)
        except MemoryError:
            self._say("not enough memory to find the objects behind the leaks")
            return find_growth(snapshot)

    def _report(self, snapshot, growth) -> None:
        settings = self.settings
        if growth is not None:
            content = export.Leaks(snapshot, growth, settings.top)
        else:
            content = export.Summary(snapshot, settings.by, settings.metric, settings.top)
        with console.progress("memprof: making the report ...", self.stderr):
            document = export.make(content, settings.format)
        if not self.keeps_report:
            document = [[], *document]
        elif self.output is not None:
            self._write(lambda path: export.replace(path, document))
            return
        console.write(document, self.stderr)

    def _write(self, write) -> None:
        try:
            write(self.output)
        except OSError as error:
            self._say(f"cannot write '{self.settings.output}': {error.strerror}")

    def _say(self, message: str) -> None:
        console.write([[(f"memprof: {message}", console.ALARM)]], self.stderr)


# ---- jemalloc --------------------------------------------------------------------------------


def _preload_jemalloc() -> None:
    """Start this process again with jemalloc in front of malloc; returns in the new one. It
    cannot be loaded later: its thread-local storage does not fit."""
    if _PRELOAD_MARK in os.environ:
        before = os.environ.pop(_PRELOAD_MARK)
        if before:
            os.environ["LD_PRELOAD"] = before
        else:
            del os.environ["LD_PRELOAD"]
        return
    from ctypes.util import find_library

    library = find_library("jemalloc")
    if library is None:
        fail("--malloc=jemalloc: libjemalloc is not installed (Debian: libjemalloc2)")
    before = os.environ.get("LD_PRELOAD", "")
    environment = dict(os.environ)
    environment[_PRELOAD_MARK] = before
    environment["LD_PRELOAD"] = f"{library}:{before}" if before else library
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def main(arguments: list[str]) -> int:
    """Trace a program. Ends as the program does."""
    parser = _parser()
    own, traced = options.split(arguments, _VALUE_OPTIONS)
    settings = parser.parse_args(own)
    if traced is None:
        fail("no program to run: give a script, -m module or -c code (see memprof --help)")
    kind = "leaks" if settings.leaks else "summary"
    options.check_format(settings.format, kind)
    if settings.malloc == "jemalloc":
        _preload_jemalloc()
    if not settings.quiet and settings.format == export.TEXT:
        export.find(export.TEXT, kind)  # later a module of the program could stand in for one of it
    session = _Session(settings, traced)
    try:
        run = program.prepare(traced)
        session.start()
        try:
            program.run(run)
        except BaseException as error:
            session.failed = not isinstance(error, SystemExit) or error.code not in (None, 0)
            raise
        finally:
            atexit.register(_core.quiet, False)  # the first handler to run: the others are traced
    except program.ProgramError as error:
        session.cancel()
        fail(str(error))
    return 0
