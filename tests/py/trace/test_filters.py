"""memprof.filters, against the standard library's filters and a plain reference."""

import ctypes
import itertools
import random
import sys
import tracemalloc
from collections import Counter
from fnmatch import fnmatchcase

import memprof
import pytest
from memprof import DomainFilter, Filter, Snapshot, _core

# Each file has functions of the same names. The frames of a "stack" are, from the outermost:
# this file's, north's or south's, and the file's that allocates.
FILES = ("city/north/a.py", "city/north/b.pyc", "city/South/a.py", "city/south/[x].py")
TEXT = """
def make(keep, size, *more):
    keep.append(bytes(size))
    for function in more: function(keep, size + 1)
def outer(keep, size, *more):
    def inner(): keep.append(bytearray(size)); make(keep, size, *more)
    inner()
def ask(function, *arguments):
    return function(*arguments)
"""
TRACKED = {7: 70_007, 8: 80_008, 2**32 - 1: 90_009}  # domain: size

allocate = {
    "raw": ctypes.pythonapi.PyMem_RawMalloc,
    "mem": ctypes.pythonapi.PyMem_Malloc,
    "obj": ctypes.pythonapi.PyObject_Malloc,
}
for function in allocate.values():
    function.restype, function.argtypes = ctypes.c_void_p, [ctypes.c_size_t]


class Capsule(ctypes.Structure):
    """struct memprof_capsule of memprof/extension.h"""

    _fields_ = [
        ("version", ctypes.c_uint),
        ("track", ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_uint, ctypes.c_size_t, ctypes.c_size_t)),
    ]


def capsule():
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return Capsule.from_address(pointer(_core.c_api, b"memprof._core.c_api"))


@pytest.fixture(scope="module")
def city():
    """(snapshot, tracemalloc's snapshot of the same blocks, sizes asked by domain)"""
    worlds = {}
    for path in FILES:
        exec(compile(TEXT, path, "exec"), worlds.setdefault(path, {}))
    keep = [None] * 100
    makers = [world["make"] for world in worlds.values()]
    track = capsule().track
    memprof.start()
    for number, world in enumerate(worlds.values()):
        world["make"](keep, 1000 + number * 100, *makers)
        world["outer"](keep, 2000 + number * 100, *makers[number:])
        for name, function in allocate.items():
            world["ask"](function, 3000 + number * 100 + len(name + FILES[number]))
        for domain, size in TRACKED.items():
            assert world["ask"](track, domain, 4096 + number, size) == 0
    traces = _core.traces(10_000)
    snapshot = memprof.take_snapshot()
    memprof.stop()
    return snapshot, tracemalloc.Snapshot(tuple(traces), 10_000)


def in_city(rows):
    """Bytes and blocks by stack of (file, line), outermost first, of what the city allocated."""
    found = Counter()
    for row in rows:
        stack = tuple((frame.filename, frame.lineno) for frame in row.traceback)
        if stack[-1][0].startswith("city"):
            found[stack, "bytes"] += row.size
            found[stack, "blocks"] += row.count
    return found


PATTERNS = [
    "*",
    "",
    "city/*",
    "*.py",
    "*.pyc",
    "city/north/b.py",
    "city/north/b.pyc",
    "city/north/a.pyc",
    "CITY/*",
    "city/[Ss]outh/*",
    "city/nort?/*",
    "city/south/[[]x].py",
    "city/south/[x].py",
    "*/test_filters.py",
]


def test_the_city_is_what_it_should_be(city):
    ours, theirs = city
    assert in_city(ours.statistics("stack")) == in_city(theirs.statistics("traceback"))
    assert len(in_city(ours.statistics("stack"))) > 30


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_match_as_in_tracemalloc(city, pattern):
    ours, theirs = city
    for inclusive, lineno, all_frames in itertools.product(
        (True, False), (None, 3, 4, 6, 999), (True, False)
    ):
        options = inclusive, pattern, lineno, all_frames
        kept = ours.filter_traces([Filter(*options)]).statistics("stack")
        wanted = theirs.filter_traces([tracemalloc.Filter(*options)]).statistics("traceback")
        assert in_city(kept) == in_city(wanted), options


def random_filters(seed, kinds):
    choose = random.Random(seed)
    return [
        [choose.choice(kinds)(choose) for _ in range(choose.randrange(1, 5))] for _ in range(150)
    ]


def file_filter(choose):
    return {
        "inclusive": choose.random() < 0.5,
        "filename_pattern": choose.choice(PATTERNS),
        "lineno": choose.choice([None, None, 3, 4, 6]),
        "all_frames": choose.random() < 0.5,
        "domain": choose.choice([None, None, None, 0, 7, 2**32 - 1]),
    }


def test_mixes_of_filters_do_as_in_tracemalloc(city):
    ours, theirs = city
    sizes = set()
    for mix in random_filters(1, [file_filter]):
        kept = in_city(ours.filter_traces(Filter(**o) for o in mix).statistics("stack"))
        wanted = theirs.filter_traces([tracemalloc.Filter(**options) for options in mix])
        assert kept == in_city(wanted.statistics("traceback")), mix
        sizes.add(len(kept))
    assert len(sizes) > 10  # nothing, everything, and much between


# ---- what tracemalloc does not have ------------------------------------------------------------


def test_domains_divide_the_snapshot(city):
    snapshot, _ = city
    parts = {
        domain: in_city(snapshot.filter_traces([DomainFilter(True, domain)]).statistics("stack"))
        for domain in ("raw", "mem", "obj", *TRACKED)
    }
    assert sum(parts.values(), Counter()) == in_city(snapshot.statistics("stack"))
    python = snapshot.filter_traces([DomainFilter(True, 0)])
    assert in_city(python.statistics("stack")) == parts["raw"] + parts["mem"] + parts["obj"]
    for number, path in enumerate(FILES):
        for domain in ("raw", "mem", "obj"):
            size = 3000 + number * 100 + len(domain + path)
            assert size in [
                number for (stack, _), number in parts[domain].items() if stack[-1] == (path, 9)
            ]
    for domain, size in TRACKED.items():
        assert len(parts[domain]) == 2 * len(FILES)
        assert set(parts[domain].values()) == {size, 1}
        assert parts[domain].keys() == parts[7].keys()
    nothing = snapshot.filter_traces([DomainFilter(True, 9)])
    assert nothing.statistics("stack") == []


def some_filter(choose):
    options = file_filter(choose)
    options["domain"] = choose.choice([None, None, 0, "raw", "mem", "obj", 7, 8])
    options["function"] = choose.choice(
        [None, "make", "outer*", "*<locals>*", "*", "MAKE", "test_*", "city"]
    )
    return options


def domain_filter(choose):
    return {"inclusive": choose.random() < 0.5, "domain": choose.choice([0, "raw", "obj", 7])}


def lets_through(options, domain, stack):
    """Does a filter's condition hold for a block of this domain with this stack?"""
    wanted = options["domain"]
    if wanted is not None and domain != wanted and (wanted != 0 or isinstance(domain, int)):
        return False
    pattern = options.get("filename_pattern", "*").replace(".pyc", ".py")
    return any(
        fnmatchcase(frame.filename.replace(".pyc", ".py"), pattern)
        and options.get("lineno") in (None, frame.lineno)
        and fnmatchcase(frame.function, options.get("function") or "*")
        for frame in (stack if options.get("all_frames") else stack[-1:])
    )


def is_kept(mix, domain, stack):
    included = [lets_through(o, domain, stack) for o in mix if o["inclusive"]]
    excluded = [lets_through(o, domain, stack) for o in mix if not o["inclusive"]]
    return (not included or any(included)) and not any(excluded)


def test_mixes_with_functions_and_domains(city):
    snapshot, _ = city
    parts = {
        domain: snapshot.filter_traces([DomainFilter(True, domain)]).statistics("stack")
        for domain in ("raw", "mem", "obj", *TRACKED)
    }
    sizes = set()
    for mix in random_filters(2, [some_filter, some_filter, domain_filter]):
        filters = [(Filter if "function" in o else DomainFilter)(**o) for o in mix]
        kept = Counter()
        for domain, rows in parts.items():
            for row in rows:
                if is_kept(mix, domain, row.traceback):
                    kept[row.traceback, "bytes"] += row.size
                    kept[row.traceback, "blocks"] += row.count
        found = Counter()
        for row in snapshot.filter_traces(filters).statistics("stack"):
            found[row.traceback, "bytes"] = row.size
            found[row.traceback, "blocks"] = row.count
        assert found == kept, mix
        sizes.add(len(found))
    assert len(sizes) > 10


def test_no_filters_keep_everything(city):
    snapshot, _ = city
    assert snapshot.filter_traces([]).statistics("stack") == snapshot.statistics("stack")
    assert snapshot.filter_traces([]) is not snapshot


def test_filtered_snapshots_are_whole_snapshots(city, tmp_path):
    snapshot, _ = city
    some = snapshot.filter_traces([Filter(True, "city/north/*")])
    rows = some.statistics("line")
    assert {row.traceback[0].filename for row in rows} == {"city/north/a.py", "city/north/b.pyc"}
    some.dump(tmp_path / "profile")
    loaded = Snapshot.load(tmp_path / "profile")
    assert loaded.statistics("line") == rows
    again = loaded.filter_traces([Filter(True, "city/north/a.py")]).statistics("line")
    assert [row for row in rows if row.traceback[0].filename == "city/north/a.py"] == again
    changes = {row.traceback: row.size_diff for row in snapshot.compare_to(some, "line")}
    assert {changes[row.traceback] for row in rows} == {0}
    assert any(changes.values())


def test_attributes():
    one = Filter(True, "a.pyc", 3, True, "raw", function="f*")
    assert (one.inclusive, one.filename_pattern, one.lineno) == (True, "a.py", 3)
    assert (one.all_frames, one.domain, one.function) == (True, "raw", "f*")
    other = DomainFilter(False, 7)
    assert (other.inclusive, other.domain) == (False, 7)


@pytest.mark.parametrize("domain", ["", "RAW", "pymalloc", -1, 2**32, -(2**70), 2**70])
def test_a_domain_that_cannot_be(domain):
    for make in (lambda: DomainFilter(True, domain), lambda: Filter(True, "*", domain=domain)):
        with pytest.raises(ValueError, match=f"^unknown domain: {domain!r}"):
            make()


@pytest.mark.parametrize("domain", [1.5, b"raw", ["raw"]])
def test_a_domain_of_another_type(domain):
    with pytest.raises(TypeError, match="domain"):
        DomainFilter(True, domain)


def test_what_is_no_filter(city):
    snapshot, _ = city
    for wrong in ("*.py", tracemalloc.Filter(True, "*"), None):
        with pytest.raises(TypeError, match="^not a filter: "):
            snapshot.filter_traces([Filter(True), wrong])


# ---- names -------------------------------------------------------------------------------------

NAMES = ["plain", "größe", "функция", "関数", "🐍", "lone\ud800", "\udcff", "x" * 9999]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name[:9]))
def test_names_of_files_and_functions(name, tmp_path):
    scope = {}
    exec(compile("def f():\n    return bytes(1000)", name + ".py", "exec"), scope)
    function = scope["f"]
    function.__code__ = function.__code__.replace(co_qualname=name)
    function()  # 3.15 makes code ready when it is first run, once events were ever switched on
    with memprof.trace() as trace:
        block = function()
        assert memprof.get_object_traceback(block)[-1] == (name + ".py", 2, name, False)
    trace.snapshot.dump(tmp_path / "profile")
    for some in (trace.snapshot, Snapshot.load(tmp_path / "profile")):
        rows = some.filter_traces([memprof.Filter(True, function=name)]).statistics("line")
        assert [(row.traceback[0].filename, row.size) for row in rows] == [
            (name + ".py", sys.getsizeof(bytes(1000)))
        ]
