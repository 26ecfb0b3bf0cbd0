"""Words of C that belong in one place, or nowhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from sizes import Measure
from tree import File, Tree


class Word(NamedTuple):
    rule: str
    pattern: str
    belongs: tuple[str, ...]  # files and folders that may say it
    where: str = "lib"  # what is looked through


# A member of that name (it->free) is another thing, and so is part of a longer name.
CALL = r"(?<![\w>.])(?:{})\s*\("
SYSTEM = (
    "mmap|mremap|munmap|madvise|mprotect|mincore|syscall|prctl|process_vm_\\w+|sysconf|usleep"
    "|pthread_attr_\\w+|pthread_\\w+_np|pthread_sigmask|sigprocmask|nanosleep"
)
SYSTEM_FILES = r"/proc/|#include <(?:linux/.*|sys/(?:mman|syscall|uio|prctl)\.h)>"
UNBOUNDED = "strcpy|strcat|sprintf|vsprintf|gets|strtok|alloca|atoi|atol|atof"

WORDS = [
    Word("python", r"#include <Python\.h>", ("lib/py",)),
    Word("version", r"\bPY_VERSION_HEX\b", ("lib/py/cpython/compat.h",), "lib pymod"),
    # What obtains memory behind our back as well: qsort does for more than a kilobyte.
    Word("memory", CALL.format("malloc|calloc|realloc|free|strdup|qsort|qsort_r"), ()),
    Word("pages", r'#include "os/pages\.h"', ("lib/base/mem.c", "lib/os")),
    Word("system", CALL.format(SYSTEM), ("lib/os",)),
    Word("system", SYSTEM_FILES, ("lib/os",)),
    Word("unbounded", CALL.format(UNBOUNDED), (), "lib include pymod"),
]


def check_words(file: File) -> Iterator[Measure]:
    for word in WORDS:
        if not file.is_in(*word.where.split()) or file.is_in(*word.belongs):
            continue
        for found in re.finditer(word.pattern, file.code):
            said = found[0].rstrip("( ")
            yield Measure(f"word: {word.rule}", f"{file}: {said}", 1)


def check_conditions(file: File) -> Iterator[Measure]:
    """A choice is a file that the build picks, not an #if around a whole file."""
    if file.path.suffix == ".c" and file.code.rstrip().endswith("#endif"):
        yield Measure("#if around the whole file", str(file), 1)


def check(tree: Tree) -> Iterator[Measure]:
    for file in tree.core:
        yield from check_words(file)
        yield from check_conditions(file)
