"""Files that are written when something long is over."""

from __future__ import annotations

import errno
import os


def check_writable(path: str) -> None:
    """OSError now rather than at the end. Nothing is changed, and nothing left."""
    if os.path.isfile(path) or os.path.isdir(path):
        os.close(os.open(path, os.O_WRONLY | os.O_APPEND))
    elif os.path.exists(path):  # a pipe: who reads it would take a close for the end
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
    else:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        os.unlink(os.path.realpath(path))  # what a link points to, not the link


def problem_with(path: str) -> str | None:
    """Why it cannot be written, for people; None: it can."""
    try:
        check_writable(path)
    except OSError as error:
        return f"cannot write '{path}': {error.strerror}"
    return None
