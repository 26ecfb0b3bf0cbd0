"""The law between rooms: a room is a folder, and includes only what its row names.

A new folder is one row here. lib/README.md draws the floors.
"""

# What a room of lib/ may include besides itself. A file of lib/ itself is a room of its own.
C_ROOMS = {
    "os": "",
    "base": "os",
    "graph": "base",
    "tables": "base",
    "record": "tables base os",
    "analyse": "tables base",
    "profile": "analyse tables base",
    "freeze": "record analyse tables base os",
    "api": "freeze profile analyse record tables base os memprof",
    "py/cpython": "base os",
    "py/stack": "py/cpython record tables base",
    "py/alloc": "py/stack py/cpython record tables base",
    "py/heap": "graph py/cpython record tables base os",
    "py/lines": "py/alloc py/stack py/cpython record tables base os",
}

# The header of a .c that has none of its own name.
HEADERS = {
    "lib/api.c": "include/memprof/memprof.h",
    "lib/py/lines/events_monitoring.c": "lib/py/lines/events.h",
    "lib/py/lines/events_settrace.c": "lib/py/lines/events.h",
}

# What a room of pymod/memprof/ may import besides itself, at the top of a file or in a function.
# A file of memprof/ itself is a room; "memprof" is its __init__ and __main__.
PYTHON_ROOMS = {
    "_core": "",
    "quiet": "_core",
    "model": "_core quiet",
    "views": "model",
    "export": "views model",
    "programs": "_core quiet model",
    "control": "programs views model quiet _core",
    "memprof": "cli plugins control model quiet _core",
    "cli": "control programs export views model quiet _core",
    "plugins": "control programs export views model quiet _core",
    "compat": "control programs export views model quiet _core memprof",
}

# Libraries that need not be there. Who needs one imports it late.
OPTIONAL = "IPython matplotlib pandas"

# What else is imported within functions, by file: the start of a traced program would pay for it.
# Numbers are milliseconds, beyond what is loaded there anyway; `import memprof` takes 4.7 in all.
LATE = {
    "__init__": {
        "importlib": "the lazy names",
        "plugins.ipython.magics": "IPython is optional",
    },
    "model/filters": {"fnmatch": "2.1, for filters: it needs re"},
    "model/frames": {"linecache": "3.0, for texts: it needs tokenize"},
    "programs/program": {"linecache": "3.0, for -c: it needs tokenize"},
    "views/console": {"rich": "24, for terminals"},
    "control/growth": {
        "ast": "2.4, for profiles of old versions",
        "views.leak_report": "3.4, for who prints a report: it needs linecache",
    },
    "control/decorators": {"views.line_tables": "1.1, for who prints tables"},
    "control/line_profiler": {
        "pdb": "6.5, for max_mem",
        "views.html.lines": "2.3, for notebooks: it needs html.entities",
    },
    "control/measuring": {"views.html.page": "1.4, for notebooks: it needs html.entities"},
    "cli/run": {
        "cli.so_far": "1.5, for --leaks",
        "control.growth": "1.5, for --leaks: so_far has imported it",
        "ctypes.util": "7.1, for jemalloc",
    },
    "plugins/pytest_plugin": {"control.leak_check": "1.5: pytest loads the plugin in every run"},
    "cli/mprof": {"views.recording_picture": "matplotlib is optional"},
}
