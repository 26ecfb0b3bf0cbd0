"""``python -m memprof`` and the console script ``memprof``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
