"""The checks of tests/lint, on a small tree with one breach of each kind."""

import subprocess
import sys

import pytest
from conftest import ROOT

HOUSE = ROOT / "tests" / "lint" / "house.py"

BODY = "\n{\n" + "    step();\n" * 37 + "}\n"  # 40 lines with that of the name
RIGHT = {
    "lib/base/mem.h": "int mp_mem(int a, int b, int c, void (*done)(int, int, int));\n",
    "lib/base/mem.c": '#include "base/mem.h"\n\n'
    "/* malloc() is the C library's */\n"
    "static void\nhidden(void)\n{\n    it->free(it);\n}\n\n"
    f"int\nmp_mem(int a, int b, int c, void (*done)(int, int, int)){BODY}",
    "lib/tables/table.c": '#include "base/mem.h"\n' + "/* 3 */\n" * 499,
    "lib/os/linux/clock.c": "uint64_t\nmp_clock(void)\n{\n    syscall(1);\n}\n",
    "lib/os/darwin/clock.c": "uint64_t\nmp_clock(void)\n{\n}\n",
    "lib/os/clock.h": "uint64_t mp_clock(void);\n",
    "tests/py/test_it.py": "def test(self_, a, b, c, *, d):\n" + "    a = 1\n" * 39,
    "bench/it.py": "class It:\n    def long(self, a, b, c, d):\n"
    f'        """{"many lines" * 8}\n\n        of text."""\n' + "        a = 1\n" * 39,
}

# What is said of a tree with this file in it.
WRONG = {
    "a room that may not": (
        "lib/base/up.c",
        '#include "tables/table.h"\n',
        [
            "lib/base/up.c: base may not include tables/table.h (tables)",
            "lib/base/up.c: tables/table.h is not named from lib/ on",
        ],
    ),
    "no room": ("lib/attic/old.c", "", ["lib/attic/old.c: attic is no room of tests/lint/law.py"]),
    "a name twice": (
        "lib/tables/mem.c",
        "",
        ["lib/tables/mem.c: another file has this name: lib/base/mem.c"],
    ),
    "Python": (
        "lib/tables/a.c",
        "#include <Python.h>\n",
        ["lib/tables/a.c: #include <Python.h>: word: python: 1, more than 0"],
    ),
    "a version": (
        "lib/py/stack/a.c",
        "int version = PY_VERSION_HEX;\n",
        ["lib/py/stack/a.c: PY_VERSION_HEX: word: version: 1, more than 0"],
    ),
    "memory": (
        "lib/tables/a.c",
        "static void\nf(void)\n{\n    it = malloc(1);\n    it = malloc (2);\n}\n",
        ["lib/tables/a.c: malloc: word: memory: 2, more than 0"],
    ),
    "sorting": (
        "lib/tables/a.c",
        "static void\nf(void)\n{\n    qsort_r(a);\n}\n",
        ["lib/tables/a.c: qsort_r: word: memory: 1, more than 0"],
    ),
    "pages": (
        "lib/tables/a.c",
        '#include "os/pages.h"\n',
        [
            "lib/tables/a.c: tables may not include os/pages.h (os)",
            "lib/tables/a.c: os/pages.h is not named from lib/ on",
            'lib/tables/a.c: #include "os/pages.h": word: pages: 1, more than 0',
        ],
    ),
    "the system": (
        "lib/tables/a.c",
        'static void\nf(void)\n{\n    madvise(a);\n    open("/proc/self/maps");\n}\n',
        [
            "lib/tables/a.c: /proc/: word: system: 1, more than 0",
            "lib/tables/a.c: madvise: word: system: 1, more than 0",
        ],
    ),
    "no bound": (
        "pymod/core/a.c",
        "static void\nf(void)\n{\n    strcpy(a, b);\n}\n",
        ["pymod/core/a.c: strcpy: word: unbounded: 1, more than 0"],
    ),
    "a choice": (
        "lib/tables/a.c",
        "#if SOMETHING\nint it;\n#else\nint other;\n#endif /* SOMETHING */\n",
        ["lib/tables/a.c: #if around the whole file: 1, more than 0"],
    ),
    "no header": (
        "lib/tables/a.c",
        "int\nmp_a(void)\n{\n}\n\nint\nmp_b(void)\n{\n}\n",
        ["lib/tables/a.c: not in its own header: 2, more than 0"],
    ),
    "a long line": (
        "include/memprof/a.h",
        f"/* {'-' * 100} */\n",
        ["include/memprof/a.h: columns: 106, more than 100"],
    ),
    "a long file": (
        "tests/c/test_a.c",
        "\n" * 501,
        ["tests/c/test_a.c: lines of a file: 501, more than 500"],
    ),
    "a long function": (
        "tests/c/test_a.c",
        "static void\na(void)" + BODY.replace("}", "    again();\n}"),
        ["tests/c/test_a.c: a: lines of a function: 41, more than 40"],
    ),
    "a long function in Python": (
        "bench/a.py",
        "def outer():\n    def a():\n" + "        x = 1\n" * 40,
        [
            "bench/a.py: a: lines of a function: 41, more than 40",
            "bench/a.py: outer: lines of a function: 42, more than 40",
        ],
    ),
    "parameters": (
        "bench/a.c",
        "static int\na(int a, int (*b)(int,\n      int), int c, int d, int e)\n{\n}\n"
        "static int b(int a, int b, int c, int d, int e) { return a; }\n",
        [
            "bench/a.c: a: parameters: 5, more than 4",
            "bench/a.c: b: parameters: 5, more than 4",
        ],
    ),
    "parameters in Python": (
        "tests/py/a.py",
        "def a(a, b, c, /, d, e=0, *rest, f): pass\n",
        ["tests/py/a.py: a: parameters: 5, more than 4"],
    ),
}


def house(root, *options):
    done = subprocess.run(
        [sys.executable, HOUSE, *options, root], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.returncode, [line for line in done.stdout.splitlines() if "circles" not in line]


@pytest.fixture
def tree(tmp_path):
    for name, text in RIGHT.items():
        put(tmp_path, name, text)
    return tmp_path


def put(root, name, text):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def exceptions(root, text):
    put(root, "tests/lint/exceptions.toml", text)
    return root / "tests" / "lint" / "exceptions.toml"


def test_a_tree_at_all_its_limits_is_right(tree):
    assert house(tree) == (0, [f"house: {len(RIGHT)} files, 0 exceptions, no breach"])


@pytest.mark.parametrize("kind", WRONG)
def test_a_breach_is_told(tree, kind):
    name, text, said = WRONG[kind]
    put(tree, name, text)
    status, lines = house(tree)
    assert (status, sorted(lines)) == (1, sorted(said))


def test_what_is_listed_may_be_so_large_and_no_larger(tree):
    name, text, _ = WRONG["a long function"]
    path = exceptions(tree, f'["lines of a function"]\n"{name}: a" = 41\n')
    put(tree, name, text)
    assert house(tree) == (0, [f"house: {len(RIGHT) + 1} files, 1 exceptions, no breach"])
    put(tree, name, text.replace("again();", "again();\n    and_again();"))
    assert house(tree) == (1, [f"{name}: a: lines of a function: 42, more than 41"])
    assert house(tree, "--shrink")[0] == 1
    assert '"tests/c/test_a.c: a" = 41' in path.read_text(), "is not made larger"


def test_the_list_shrinks(tree):
    name, text, _ = WRONG["parameters"]
    listed = f'["columns"]\n"gone.c" = 120\n\n["parameters"]\n"{name}: a" = 9\n"{name}: b" = 5\n'
    path = exceptions(tree, f"# why\n{listed}")
    put(tree, name, text)
    assert house(tree) == (
        1,
        [
            "gone.c: columns: is listed in exceptions.toml, and need not be any more",
            f"{name}: a: parameters: 5, which is less than exceptions.toml says (9)",
        ],
    )
    assert house(tree, "--shrink")[0] == 0
    assert path.read_text() == f'# why\n\n["parameters"]\n"{name}: a" = 5\n"{name}: b" = 5\n'
    assert house(tree)[0] == 0
