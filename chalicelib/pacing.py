"""A pace: so many starts in a second, evenly, whoever starts."""

import threading
import time


class Pace:
    """Lets its callers through ``rate`` times a second at most, all threads together.

    Time that nobody used is not made up for, so that no burst follows a pause.
    """

    def __init__(self, rate: float) -> None:
        self._interval = 1 / rate
        self._lock = threading.Lock()
        self._next = time.monotonic()

    def wait(self) -> None:
        """Returns when it is the caller's turn."""
        with self._lock:
            now = time.monotonic()
            turn = max(self._next, now)
            self._next = turn + self._interval
        time.sleep(turn - now)
