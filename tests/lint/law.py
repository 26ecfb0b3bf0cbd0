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
