"""The rules for the Python package that its import statements show: the law between rooms and what
may be imported late (law.py), private names of other modules, and circles."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from law import LATE, OPTIONAL, PYTHON_ROOMS

PACKAGE = "memprof"


class Import(NamedTuple):
    """``module``: dotted name, of ours from the package on, as ``model.units``; "" is __init__."""

    module: str
    names: tuple[str, ...]
    line: int
    is_ours: bool
    is_late: bool
    is_for_types: bool


def module_of(path: Path, root: Path) -> str:
    """``model.units`` for root/model/units.py, ``model`` for root/model/__init__.py."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """The first folder, or the name of a file of the package itself."""
    return PACKAGE if module in ("", "__main__") else module.partition(".")[0]


class Reader(ast.NodeVisitor):
    """The imports of one file. ``modules``: the names of all modules of ours."""

    def __init__(self, package: str, modules: set[str]):
        self.package = package.split(".") if package else []
        self.modules = modules
        self.imports: list[Import] = []
        self.depth = 0
        self.is_for_types = False

    def visit_function(self, node: ast.AST) -> None:
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = visit_function

    def visit_If(self, node: ast.If) -> None:
        before = self.is_for_types
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            self.is_for_types = True
        self.generic_visit(node)
        self.is_for_types = before

    def add(self, module: str, names: tuple[str, ...], node: ast.stmt, is_ours: bool) -> None:
        late = self.depth > 0
        self.imports.append(Import(module, names, node.lineno, is_ours, late, self.is_for_types))

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            is_ours = alias.name.partition(".")[0] == PACKAGE
            name = alias.name.partition(".")[2] if is_ours else alias.name
            self.add(name, (), node, is_ours)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        if node.level == 0 and module.partition(".")[0] != PACKAGE:
            self.add(module, tuple(alias.name for alias in node.names), node, False)
            return
        if node.level:
            above = self.package[: len(self.package) - node.level + 1]
            base = ".".join([*above, *filter(None, [module])])
        else:
            base = module.partition(".")[2]
        names = [alias.name for alias in node.names]
        below = [name for name in names if f"{base}.{name}".lstrip(".") in self.modules]
        for name in below:
            self.add(f"{base}.{name}".lstrip("."), (), node, True)
        if rest := tuple(name for name in names if name not in below):
            self.add(base, rest, node, True)


def read(root: Path) -> dict[str, list[Import]]:
    """By module, what it imports."""
    paths = {module_of(path, root): path for path in sorted(root.rglob("*.py"))}
    modules = {*paths, "_core"}
    found = {}
    for module, path in paths.items():
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        reader = Reader(package, modules)
        reader.visit(ast.parse(path.read_text("utf-8")))
        found[module] = reader.imports
    return found


def check_law(module: str, imports: list[Import]) -> Iterator[str]:
    room = room_of(module)
    if room not in PYTHON_ROOMS:
        yield f"{room} is no room of PYTHON_ROOMS in tests/lint/law.py"
        return
    for it in imports:
        target = room_of(it.module)
        if it.is_ours and target != room and target not in PYTHON_ROOMS[room].split():
            yield f"line {it.line}: {room} may not import {it.module or PACKAGE} ({target})"


def check_private(imports: list[Import]) -> Iterator[str]:
    for it in imports:
        for name in it.names if it.is_ours else ():
            if name.startswith("_") and name != "_core" and not name.startswith("__"):
                yield f"line {it.line}: {name} is private to {it.module}"


def check_late(module: str, imports: list[Import]) -> Iterator[str]:
    """And that LATE names nothing that is not imported late any more."""
    allowed = LATE.get(module.replace(".", "/") or "__init__", {})
    late = {it.module for it in imports if it.is_late}
    for it in imports:
        if it.is_late and it.module not in allowed and not is_below(it.module, allowed):
            if it.module.partition(".")[0] not in OPTIONAL.split():
                yield f"line {it.line}: {it.module} is imported within a function"
    for name in allowed:
        if name not in late and not any(is_below(other, {name: ""}) for other in late):
            yield f"{name} is in LATE of tests/lint/law.py, but not imported within a function"


def is_below(module: str, names: dict[str, str]) -> bool:
    return any(module.startswith(f"{name}.") for name in names)


def find_circles(found: dict[str, list[Import]]) -> list[list[str]]:
    """Modules that import each other, by whatever way; what is for types only does not count."""
    below = {
        module: {it.module for it in imports if it.is_ours and not it.is_for_types} - {module}
        for module, imports in found.items()
    }
    reach: dict[str, set[str]] = {}
    for module in below:
        seen: set[str] = set()
        todo = [module]
        while todo:
            for other in below.get(todo.pop(), ()):
                if other not in seen:
                    seen.add(other)
                    todo.append(other)
        reach[module] = seen
    circles = {
        tuple(sorted(other for other in reach if module in reach[other] and other in reach[module]))
        for module in reach
        if module in reach[module]
    }
    return [list(circle) for circle in sorted(circles)]


def check_package(root: Path) -> tuple[list[str], int]:
    """(a line for each breach, number of circles)"""
    found = read(root)
    breaches = []
    for module, imports in found.items():
        lines = [*check_law(module, imports), *check_private(imports), *check_late(module, imports)]
        breaches += [f"{root.name}/{module.replace('.', '/') or '__init__'}: {it}" for it in lines]
    circles = find_circles(found)
    breaches += [f"circle: {' <-> '.join(circle)}" for circle in circles]
    return breaches, len(circles)
