"""memprof's own work stays out of the user's numbers.

>>> with quiet:
...     ...  # what this thread allocates here is not traced

Its two ends are functions in C that nothing is bound to: the ``with`` itself makes no object, which
would be in the trace, and in a snapshot that is taken inside of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import update_wrapper

from . import _core

# Where memprof's own modules are: their objects are in no heap.
OWN_FOLDER = os.path.dirname(os.path.abspath(_core.__file__)) + os.sep


class _Quiet:
    """May be nested, in any thread."""

    __slots__ = ()
    __enter__ = _core.begin_quiet
    __exit__ = _core.end_quiet


quiet = _Quiet()


def quietly(function: Callable) -> Callable:
    """A function or method that runs in ``with quiet``."""

    def quiet_function(*args, **kwargs):
        with quiet:
            return function(*args, **kwargs)

    return update_wrapper(quiet_function, function)
