"""The end of a process that `multiprocessing` started."""

from __future__ import annotations

import sys

from . import _native


def started() -> None:
    """Called when the threads of the native module have started in this process.

    A process of `multiprocessing` ends without calling the functions of `atexit`, so that a refreshed token
    could be lost.
    """
    util = sys.modules.get("multiprocessing.util")
    process = sys.modules.get("multiprocessing.process")
    if util is not None and process is not None and process.parent_process() is not None:
        util.Finalize(None, _native.shut_down, exitpriority=0)
