"""What only the interpreter itself holds is held by the interpreter, not by unknown C code."""

from __future__ import annotations

import json
import re
import sys

import pytest
from conftest import PROGRAMS, run_plain

HELD = {
    "codec search": "codecs.register()[..] -> function closure item -> Item",
    "codec cache": "codecs.lookup()['mine'] -> CodecInfo[0] -> function closure item -> Item",
    "codec error": "codecs.register_error()['mine'] -> function closure item -> Item",
    "audit hook": "sys.addaudithook() closure item -> Item",
    "before fork": "os.register_at_fork(before)[..] -> function closure item -> Item",
    "fork, parent": "os.register_at_fork(after_in_parent)[..] -> function closure item -> Item",
    "fork, child": "os.register_at_fork(after_in_child)[..] -> function closure item -> Item",
    "trace": "sys.settrace() closure item -> Item",
    "profile": "sys.setprofile() closure item -> Item",
    "first iteration": "sys.set_asyncgen_hooks(firstiter) closure item -> Item",
    "finalizer": "sys.set_asyncgen_hooks(finalizer) closure item -> Item",
}
if sys.version_info >= (3, 12):
    HELD["signal"] = "signal.signal() closure item -> Item"
    HELD["monitoring"] = "sys.monitoring.register_callback() closure item -> Item"


@pytest.fixture(scope="module")
def found():
    result = run_plain(PROGRAMS / "internals.py")
    assert result.status == 0, result
    return json.loads(result.stdout)


@pytest.mark.parametrize("name", HELD)
def test_interpreter_is_said_to_hold(found, name):
    ((path, root),) = found[name]
    assert (re.sub(r"\)\[\d+\]", ")[..]", path), root) == (HELD[name], "interpreter")


def test_exception_that_is_handled(found):
    ((path, root),) = found["exception"]
    assert path.endswith(".item -> Item")
    # it may be said to be on the stack of the function that handles it, where it is too
    assert (path.partition(".")[0], root) in {
        ("exception being handled", "interpreter"),
        ("evaluation stack of give_to_thread()", "stack"),
    }
