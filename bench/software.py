"""Test suites and imports of real programs: what they need, where they are from, how they start.

Everything comes from PyPI, at the versions of real-versions.txt, and is kept in build/bench-real:
source archives, what was unpacked of them, and a virtual environment for each workload, so that
no suite finds packages that another one brought.
"""

from __future__ import annotations

import os
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path

from environment import HERE, ROOT, Environment, say, tag
from tools import Tool

KEPT = ROOT / "build" / "bench-real"
VERSIONS = HERE / "real-versions.txt"
PLUGINS = HERE / "programs" / "plugins"
LEFT = ("PYTHON", "PYTEST", "DJANGO", "SQLALCHEMY", "HYPOTHESIS", "MEMPROF", "MEMRAY")
"""Environment variables that begin like this stay outside."""

PYTEST = ("-m", "pytest", "-q", "-rfE", "-p", "no:cacheprovider", "-p", "seeded")


class Unavailable(Exception):
    """A workload cannot be fetched or installed; the message says why."""


@dataclass(frozen=True)
class Workload:
    """One command. {bench} stands for this folder; it starts in `folder` of the source archive,
    or in an empty one when there is none."""

    name: str
    title: str
    needs: tuple[str, ...]
    """Distributions to install."""
    command: tuple[str, ...]
    """What follows the interpreter: a script or -m and a module, then arguments."""
    tests: int
    """So many pass at least: fewer, and it is another program."""
    archive: str | None = None
    """The distribution whose source archive has the tests; None: they are installed with it."""
    folder: str = "."
    limit: int = 400
    """Seconds that a run may take under any tool, on a machine that is shared."""

    def words(self, tool: Tool, python: str, scratch: str) -> list[str]:
        first, *rest = (word.replace("{bench}", str(HERE)) for word in self.command)
        return tool.command(python, first, rest, scratch)


def suite(name: str, title: str, *, pytest: str, plugins: str = "", **more) -> Workload:
    """A workload that is started by pytest, with so many words."""
    chosen = [word for plugin in plugins.split() for word in ("-p", plugin)]
    return Workload(name, title, command=(*PYTEST, *chosen, *pytest.split()), **more)


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload(
            "django",
            "Django's tests, 11 apps",
            needs=("Django", "jinja2"),
            archive="Django",
            folder="tests",
            command=(
                *("runtests.py", "--settings=test_sqlite", "--parallel=1", "-v0"),
                *("forms_tests", "queries", "model_fields", "model_forms", "template_tests"),
                *("expressions", "aggregation", "annotations", "prefetch_related"),
                *("generic_views", "view_tests"),
            ),
            tests=4000,
        ),
        suite(
            "sympy",
            "sympy's tests of expressions and matrices",
            needs=("sympy", "pytest", "hypothesis"),
            pytest="--pyargs sympy.core.tests.test_expr sympy.core.tests.test_basic "
            "sympy.core.tests.test_subs sympy.core.tests.test_numbers "
            "sympy.matrices.tests.test_commonmatrix sympy.matrices.tests.test_solvers "
            "sympy.matrices.tests.test_reductions sympy.matrices.tests.test_subspaces",
            tests=400,
        ),
        suite(
            "jinja2",
            "jinja2's tests",
            needs=("jinja2", "pytest", "trio"),
            archive="jinja2",
            pytest="tests",
            tests=900,
        ),
        suite(
            "attrs",
            "attrs' tests",
            needs=("attrs", "pytest", "hypothesis", "cloudpickle"),
            archive="attrs",
            pytest="tests",
            tests=1250,
        ),
        suite(
            "networkx",
            "networkx' tests, 7 packages",
            needs=("networkx", "pytest"),
            pytest="--pyargs networkx.algorithms.isomorphism networkx.algorithms.community "
            "networkx.algorithms.centrality networkx.algorithms.traversal "
            "networkx.algorithms.operators networkx.algorithms.coloring networkx.readwrite",
            tests=1000,
        ),
        suite(
            "sqlalchemy",
            "SQLAlchemy's tests of mapper, loading and compiler, sqlite",
            needs=("SQLAlchemy", "pytest"),
            archive="SQLAlchemy",
            pytest="test/orm/inheritance/test_polymorphic_rel.py test/orm/test_mapper.py "
            "test/orm/test_eager_relations.py test/sql/test_compiler.py",
            tests=1400,
        ),
        suite(
            "pydantic",
            "pydantic's tests of models, types and schemas",
            needs=("pydantic", "pytest", "pytest-mock", "dirty-equals", "pytz", "jsonschema"),
            archive="pydantic",
            plugins="pytest_mock",
            pytest="tests/types tests/test_generics.py tests/test_json_schema.py "
            "tests/test_main.py tests/test_edge_cases.py tests/test_dataclasses.py "
            "--ignore tests/types/unions/test_direct_schema.py",
            tests=2000,
        ),
        Workload(
            "imports",
            "import of scikit-learn, matplotlib, pandas",
            needs=("scikit-learn", "matplotlib", "pandas"),
            command=(
                *("{bench}/programs/imports.py", "sklearn.ensemble", "sklearn.linear_model"),
                *("sklearn.pipeline", "matplotlib.pyplot", "pandas"),
            ),
            tests=5,
        ),
    )
}


@dataclass
class Ready:
    """A workload that can be started."""

    workload: Workload
    environment: Environment
    folder: Path

    def packages(self) -> dict[str, str]:
        """Version of each distribution that the workload asks for, and of the profilers."""
        found = self.environment.versions()
        names = map(canonical, (*self.workload.needs, "memray"))
        return {name: found[name] for name in names if name in found}

    def variables(self, scratch: str, path: Path | None) -> dict[str, str]:
        """The environment of a run: nothing that a user's shell may change in what is run.

        path: where the interpreter finds memprof.
        """
        kept = {name: value for name, value in os.environ.items() if not name.startswith(LEFT)}
        return kept | {
            "PYTHONPATH": os.pathsep.join(map(str, filter(None, (PLUGINS, path)))),
            "PYTHONHASHSEED": "0",
            "PYTHONNOUSERSITE": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "HYPOTHESIS_STORAGE_DIRECTORY": f"{scratch}/hypothesis",
            "MPLBACKEND": "agg",
            "MPLCONFIGDIR": str(KEPT / "matplotlib"),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "TMPDIR": scratch,
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "COLUMNS": "200",
        }


def prepare(workload: Workload) -> Ready:
    """Install and fetch what is not there yet."""
    environment = Environment(KEPT / tag() / workload.name)
    environment.create()
    install(environment, (*workload.needs, "rich"))
    folder = unpacked(environment, workload) if workload.archive else KEPT / "empty"
    folder.mkdir(parents=True, exist_ok=True)
    (KEPT / "pytest.ini").write_text("[pytest]\n")  # the tree's own is not for these tests
    return Ready(workload, environment, folder)


def install(environment: Environment, needs: tuple[str, ...]) -> None:
    """At the pinned versions; not again while neither they nor the names changed."""
    stamp = environment.folder / f"has-{needs[0]}"
    wanted = f"{needs}\n{VERSIONS.read_text()}"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    say(f"installing {' '.join(needs)} into {environment.folder.relative_to(ROOT)}")
    exactly = [f"{name}=={version(name)}" for name in needs]
    if problem := environment.pip("-c", str(VERSIONS), *exactly):
        raise Unavailable(f"{' '.join(needs)} cannot be installed: {problem}")
    stamp.write_text(wanted)


def version(name: str) -> str:
    """Of a distribution, as it is pinned."""
    wanted = canonical(name)
    for line in VERSIONS.read_text().splitlines():
        found, _, number = line.partition("==")
        if canonical(found) == wanted:
            return number.strip()
    raise Unavailable(f"{name} is not in {VERSIONS.name}")


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def unpacked(environment: Environment, workload: Workload) -> Path:
    """The folder of a workload in its source archive."""
    exactly = f"{workload.archive}=={version(workload.archive)}"
    downloads = KEPT / "downloads" / exactly
    if not any(downloads.glob("*.tar.gz")):
        say(f"fetching the source of {exactly}")
        if problem := environment.download(exactly, downloads):
            raise Unavailable(f"the source of {exactly} cannot be fetched: {problem}")
    target = KEPT / "sources" / exactly
    if not target.exists():
        part = target.with_name(f"{exactly}.part")
        with tarfile.open(next(downloads.glob("*.tar.gz"))) as archive:
            archive.extractall(part, filter="data")
        part.rename(target)
    (root,) = target.iterdir()
    return root / workload.folder
