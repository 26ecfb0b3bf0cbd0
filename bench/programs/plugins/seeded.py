"""Plugin for pytest: the same tests with the same random numbers in each run."""

import random
import sys


def pytest_collection_modifyitems(config, items):
    """Leave out tests of hypothesis: it draws other examples each time, and stops by the clock."""
    drawn = [item for item in items if _is_drawn(item)]
    if drawn:
        config.hook.pytest_deselected(items=drawn)
        items[:] = [item for item in items if not _is_drawn(item)]


def pytest_runtest_setup():
    """Seed the generators that are there by now; none is imported for this."""
    random.seed(0)
    for name in ("numpy.random", "sympy.core.random"):
        if name in sys.modules:
            sys.modules[name].seed(0)


def _is_drawn(item):
    return getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
