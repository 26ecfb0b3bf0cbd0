"""The registry of formats: what --format, -o and memprof.export read."""

from __future__ import annotations

import json
import os
import sys
import types

import memprof
import pytest
from conftest import ROOT, run_memprof, run_on_a_terminal, run_plain, run_traced
from memprof import LineProfiler, Snapshot, export, find_growth
from memprof.cli import diff, show
from memprof.views import console

PROFILE = ROOT / "tests" / "golden" / "leaks_in_note.mprof"


def work():
    return bytes(1000)


@pytest.fixture
def contents():
    """Something of each kind that can be exported."""
    snapshot = Snapshot.load(PROFILE)
    prof = LineProfiler()
    prof(work)()
    found = [
        export.Summary(snapshot, by="stack"),
        export.Leaks(snapshot, find_growth(snapshot)),
        export.Changes(snapshot.compare_to(snapshot, "line")),
        export.Lines(prof),
    ]
    return {content.kind: content for content in found}


@pytest.fixture
def new_format(monkeypatch):
    """A format of summaries: one module and one row."""
    module = types.ModuleType("memprof.export.sum_of_bytes")
    module.summary = lambda content: b"\xff%d" % content.snapshot.traced_memory[0]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    row = export.Format("sum", ".sum", "summary", "sum_of_bytes")
    monkeypatch.setattr(export, "FORMATS", (*export.FORMATS, row))


def test_formats_by_kind():
    assert export.names("summary") == export.names("leaks") == ["text", "json"]
    assert export.names("changes") == ["text", "json"]
    assert export.names("lines") == ["text", "html", "json"]
    assert export.names("leaks", "lines") == ["text", "html", "json"]
    assert export.names("nothing") == []


def test_every_row_has_its_functions(contents):
    for row in export.FORMATS:
        for kind in row.needs:
            document = export.make(contents[kind], row.name)
            assert document, (row.name, kind)
            assert isinstance(document, list) == (row.name == export.TEXT)
        assert row.suffix.startswith(".")


def test_modules_are_imported_when_they_are_used():
    program = (
        "import sys, memprof.export as e\n"
        "print([name for name in sys.modules if name.startswith('memprof.export.')])\n"
        "e.find('json', 'summary')\n"
        "print([name for name in sys.modules if name.startswith('memprof.export.')])\n"
    )
    assert run_plain("-c", program).stdout == "[]\n['memprof.export.json_report']\n"


@pytest.mark.parametrize("options", [(), ("--leaks",)])
def test_command_line_and_interface_say_the_same(contents, options):
    content = contents["leaks" if options else "summary"]
    for name in export.names(content.kind):
        shown = run_memprof("show", PROFILE, "--by", "stack", "--format", name, *options)
        document = export.make(content, name)
        if not isinstance(document, str):
            document = "".join("".join(text for text, _ in line) + "\n" for line in document)
        assert (shown.stdout, shown.status) == (document, 0)


def test_what_there_is_not(contents, tmp_path):
    with pytest.raises(ValueError, match=r"no format 'html' of leaks \(one of: text, json\)"):
        export.make(contents["leaks"], "html")
    with pytest.raises(ValueError, match=r"'a\.html' ends in none of: \.txt, \.json"):
        export.find_by_suffix("a.html", "summary")
    with pytest.raises(ValueError):
        export.write(contents["summary"], tmp_path / "report.xyz")
    assert list(tmp_path.iterdir()) == []


def test_writing_goes_by_the_name(contents, tmp_path):
    export.write(contents["summary"], tmp_path / "a.json")
    export.write(contents["summary"], tmp_path / "a.txt")
    export.write(contents["lines"], os.fspath(tmp_path / "b.dat"), "html")
    assert json.loads((tmp_path / "a.json").read_text())["format"] == "memprof-report"
    assert "peak traced" in (tmp_path / "a.txt").read_text()
    assert (tmp_path / "b.dat").read_text().startswith("<!DOCTYPE html>")
    assert len(list(tmp_path.iterdir())) == 3


def test_file_is_replaced_at_once_or_not_at_all(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    export.replace(tmp_path / "link", [[("n", "bold"), ("ew", "")], [("\udcff", "")]])
    assert (tmp_path / "real").read_text() == "new\n\\udcff\n"
    assert (tmp_path / "link").is_symlink()
    with pytest.raises(OSError):
        export.replace(tmp_path / "none" / "file", "text")
    export.replace("/dev/null", b"bytes")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "real"]


def test_a_format_is_a_module_and_a_row(new_format, contents, capsysbinary, tmp_path):
    live = str(Snapshot.load(PROFILE).traced_memory[0]).encode()
    assert show.main([str(PROFILE), "--format", "sum"]) == 0
    assert capsysbinary.readouterr().out == b"\xff" + live
    export.write(contents["summary"], tmp_path / "a.sum")
    assert (tmp_path / "a.sum").read_bytes() == b"\xff" + live
    assert "sum" not in export.names("changes")


def test_a_format_that_is_not_of_what_is_asked_for(new_format, capsys):
    for main, words, said in (
        (show.main, [str(PROFILE), "--leaks", "--format", "sum"], "--format sum: not of leaks"),
        (diff.main, [str(PROFILE), str(PROFILE), "--format", "sum"], "invalid choice: 'sum'"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(words)
        error = capsys.readouterr().err
        assert ended.value.code == 2 and error.count("\n") == 1 and said in error


def test_documents_are_whole_on_a_terminal():
    command = [sys.executable, "-m", "memprof", "show", str(PROFILE), "--format", "json"]
    written = run_on_a_terminal(command)
    document = json.loads(written[written.index("{") :])
    assert document["format"] == "memprof-report" and document["rows"]


def test_report_of_a_run_is_kept_as_what_it_is(tmp_path):
    path = tmp_path / "report"
    result = run_traced("-c", "pass", memprof=("--format", "json", "-o", path))
    assert (result.stdout, result.stderr, result.status) == ("", "", 0)
    assert json.loads(path.read_text())["format"] == "memprof-report"
    result = run_traced("-c", "pass", memprof=("-q", "-o", path))
    assert memprof.Snapshot.load(path).notes["command"] == "python -c pass"


def test_lines_are_written_plainly_elsewhere(capsys):
    console.write_all([[("a", "bold"), ("b", "")], []], sys.stdout)
    console.write_all("text", sys.stdout)
    assert capsys.readouterr().out == "ab\n\ntext"
