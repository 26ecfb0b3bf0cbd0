"""The law between the rooms of lib/ (law.py), from the include lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from law import C_ROOMS
from tree import File, Tree


def room_of(relative: Path) -> str:
    """The room of a path relative to lib/: its folder, or the name of a file of lib/ itself.
    The systems' folders are the one room os."""
    parts = relative.parts
    if len(parts) == 1:
        return relative.stem
    return "os" if parts[0] == "os" else "/".join(parts[:-1])


def check_file(tree: Tree, file: File) -> Iterator[str]:
    room = room_of(file.path.relative_to("lib"))
    if room not in C_ROOMS:
        yield f"{file}: {room} is no room of tests/lint/law.py"
        return
    for name in file.includes:
        target = room_of(Path(name))
        if target != room and target not in C_ROOMS[room].split():
            yield f"{file}: {room} may not include {name} ({target})"
        if not tree.has(f"lib/{name}") and not tree.has(f"include/{name}"):
            yield f"{file}: {name} is not named from lib/ on"


def check_names(tree: Tree) -> Iterator[str]:
    """A name of a file says which one is meant; each system has its own of the same name."""
    names: dict[str, File] = {}
    for file in tree.core:
        first = names.setdefault(file.path.name, file)
        if first is not file and not file.is_of_a_system:
            yield f"{file}: another file has this name: {first}"


def check(tree: Tree) -> Iterator[str]:
    for file in tree.core:
        if file.is_in("lib"):
            yield from check_file(tree, file)
    yield from check_names(tree)
