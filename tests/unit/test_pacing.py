"""A pace, kept by several threads."""

import time
from concurrent.futures import ThreadPoolExecutor

from chalicelib.pacing import Pace


def seconds_for(turns: int, pace: Pace, *, threads: int) -> float:
    began = time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        for turn in [pool.submit(pace.wait) for _ in range(turns)]:
            turn.result()
    return time.monotonic() - began


def test_threads_share_one_pace() -> None:
    assert seconds_for(41, Pace(100), threads=8) >= 0.399


def test_a_pause_is_not_made_up_for() -> None:
    pace = Pace(100)
    pace.wait()
    time.sleep(0.1)
    assert seconds_for(5, pace, threads=1) >= 0.039
