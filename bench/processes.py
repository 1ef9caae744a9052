"""A process for each contender, so that none measures another's imports, threads or garbage."""

import multiprocessing
import os
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor

from bench.traffic import traffic

Processes = Mapping[str, ProcessPoolExecutor]
"""A process for each contender, by its name."""


def process(environment: Mapping[str, str] = {}) -> ProcessPoolExecutor:
    """A fresh process that does what is submitted to it, with ``environment`` on top of ours.

    What it would print, such as the service's log and metrics, is written and goes nowhere.
    """
    return ProcessPoolExecutor(
        1, mp_context=multiprocessing.get_context("spawn"), initializer=_prepare, initargs=(dict(environment),)
    )


def _prepare(environment: dict[str, str]) -> None:
    os.environ.update(environment)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    traffic.install()
