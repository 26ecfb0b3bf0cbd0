"""tests/lint/imports.py finds what it is to find."""

from __future__ import annotations

import sys

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "tests" / "lint"))
import imports


@pytest.fixture
def breaches(tmp_path):
    """A function: the breaches in a package of these files; and the number of circles."""

    def check(**texts):
        files = {"__init__": "", "model/__init__": "", "views/__init__": "", "quiet": ""}
        for name, text in (files | {k.replace("__in_", "/"): v for k, v in texts.items()}).items():
            path = tmp_path / "memprof" / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        found, circles = imports.check_package(tmp_path / "memprof")
        return [it for it in found if "is in LATE" not in it], circles

    return check


@pytest.mark.parametrize(
    "text",
    [
        "from ..views import a",
        "from ..views.a import f",
        "import memprof.views.a",
        "from memprof.views import a",
        "if True:\n    from ..views import a",
        "TYPE_CHECKING = False\nif TYPE_CHECKING:\n    from ..views import a",
        "from .. import control",
    ],
)
def test_lower_room_may_not_import_a_higher_one(breaches, text):
    found, circles = breaches(model__in_m=text, views__in_a="", control="")
    assert len(found) == 1 and "memprof/model/m: line" in found[0], found
    assert circles == 0


def test_what_the_law_allows(breaches):
    model = "import os\nfrom .. import _core\nfrom ..quiet import quiet\nfrom . import other"
    views = "from ..model import m\nfrom ..model.m import f\nfrom .b import g"
    texts = {"model__in_m": model, "model__in_other": "", "views__in_a": views, "views__in_b": ""}
    assert breaches(**texts) == ([], 0)


@pytest.mark.parametrize(
    "text", ["import json", "from . import other", "from ..quiet import quiet"]
)
def test_late_imports_must_be_in_the_list(breaches, text):
    late = f"def f():\n    {text}\n    import pandas"
    found, _ = breaches(model__in_m=late, model__in_other="")
    assert len(found) == 1 and "within a function" in found[0]


def test_list_has_no_more_than_there_is(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "filters.py").write_text("import fnmatch")
    assert len(imports.check_package(tmp_path)[0]) == 1


def test_private_names_stay_in_their_module(breaches):
    found, _ = breaches(model__in_m="from .other import f, _g, __doc__", model__in_other="")
    assert len(found) == 1 and "_g is private to model.other" in found[0]


@pytest.mark.parametrize("text", ["from . import b", "def f():\n    from .b import g"])
def test_circles_are_found(breaches, text):
    found, circles = breaches(
        views__in_a=text, views__in_b="from . import c", views__in_c="from . import a"
    )
    assert circles == 1
    assert "circle: views.a <-> views.b <-> views.c" in found


def test_imports_for_types_make_no_circle(breaches):
    text = "TYPE_CHECKING = False\nif TYPE_CHECKING:\n    from . import b"
    assert breaches(views__in_a=text, views__in_b="from . import a") == ([], 0)


def test_the_package_keeps_the_law():
    assert imports.check_package(ROOT / "pymod" / "memprof") == ([], 0)
