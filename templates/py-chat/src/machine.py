"""What Python's own library would ask of a machine, asked of the host instead: where lines go, what time it is, and
where chance comes from. Imported first; everything here is replayed with the run."""

import random
import sys
import time

from wit_world.imports import clock, log


class _Lines:
    """Writes whole lines to the run's log."""

    def __init__(self, level):
        self._level = level
        self._rest = ""

    def write(self, text):
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            log.line(self._level, line)
        return len(text)

    def flush(self):
        if self._rest:
            log.line(self._level, self._rest)
            self._rest = ""


def begin(run):
    """Begins a run: the same run has the same chance, whenever it is replayed."""
    random.seed(run)
    sys.stdout = _Lines(log.Level.INFO)
    sys.stderr = _Lines(log.Level.ERROR)


def _time():
    return clock.now() / 1000


time.time = _time
time.monotonic = _time
time.perf_counter = _time
time.sleep = lambda seconds: clock.sleep(int(seconds * 1000))
