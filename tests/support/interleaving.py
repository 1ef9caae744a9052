"""Calls of the service that take turns at their requests to AWS, so that a test decides the order of every effect.

Each call has a thread of its own, and only one of them runs at a time: from one request to the next. So a write can
be held back for as long as the test likes, overtaken, lost, or be the last thing that its process did.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from enum import Enum
from typing import Any, Generic, TypeVar

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ConnectionClosedError

from tests.support.aws import Crash, Wire, refusal

PATIENCE_SECONDS = 300
READS_OF_MANY = frozenset({"Query", "Scan"})
"""Nobody stands still before these: what they find is looked at again by every write that follows."""

T = TypeVar("T")


class Fate(Enum):
    """What becomes of a request."""

    ARRIVES = "arrives"
    BROKEN_OFF = "broken off"
    """The connection breaks before AWS has the request."""
    ANSWER_LOST = "answer lost"
    """AWS does what was asked, then the connection breaks."""
    THROTTLED = "throttled"
    REFUSED = "refused"
    """AWS refuses for a reason that lasts."""
    CRASH_BEFORE = "crash before"
    """The process ends before it sends the request."""
    CRASH_AFTER = "crash after"
    """The process ends when AWS has done what was asked."""


EFFECTIVE = frozenset({Fate.ARRIVES, Fate.ANSWER_LOST, Fate.CRASH_AFTER})


class Task(Generic[T]):
    """A call, standing still before its next request to AWS, or over."""

    def __init__(self, turns: "Turns", call: Callable[[], T]) -> None:
        self.standing_before: str | None = None
        """The operation that it is about to ask for; None when it is over."""
        self.crashed = False
        self.error: BaseException | None = None
        self._turns = turns
        self._call = call
        self._go = threading.Semaphore(0)
        self._stands = threading.Semaphore(0)
        self._fate = Fate.ARRIVES
        threading.Thread(target=self._run, name="task", daemon=True).start()
        self._resume()

    @property
    def over(self) -> bool:
        return self.standing_before is None

    def proceed(self, fate: Fate = Fate.ARRIVES) -> None:
        """Lets the request meet its ``fate``, and the call go on to the next one or its end."""
        assert not self.over
        self._fate = fate
        self.crashed |= fate in {Fate.CRASH_BEFORE, Fate.CRASH_AFTER}
        self._resume()

    def answer(self) -> T:
        """What the call returned, once it is over."""
        assert self.over
        if self.error is not None:
            raise self.error
        return self._result

    def _resume(self) -> None:
        with self._turns.given_to(self):
            self._go.release()
            assert self._stands.acquire(timeout=PATIENCE_SECONDS), "the call neither asks AWS nor ends"

    def _run(self) -> None:
        self._go.acquire()
        try:
            self._result = self._call()
        except BaseException as error:  # noqa: BLE001 - it is the test's, and raised when that asks for the answer
            self.error = error
        self.standing_before = None
        self._stands.release()

    def direct(self, event: str, request: AWSPreparedRequest) -> AWSResponse | None:
        """Stands still before a request, in whichever of the call's threads makes it."""
        operation = event.rpartition(".")[2]
        if operation in READS_OF_MANY:
            return None
        if self.crashed:
            raise Crash
        self.standing_before = operation
        self._stands.release()
        self._go.acquire()
        return self._turns.meet(self._fate, event, request)


class Turns:
    """Whose turn it is."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._current: Task[Any] | None = None
        self._tasks: list[Task[Any]] = []
        self.watch: Callable[[str, AWSPreparedRequest], object] = lambda _operation, _request: None
        """Shown each request that takes effect, with its operation."""

    def start(self, call: Callable[[], T]) -> Task[T]:
        """Starts a call, which runs to its first request."""
        task = Task(self, call)
        self._tasks.append(task)
        return task

    @contextmanager
    def given_to(self, task: Task[Any]) -> Iterator[None]:
        self._current = task
        try:
            yield
        finally:
            self._current = None

    def direct(self, event: str, request: AWSPreparedRequest) -> AWSResponse | None:
        # Between turns it is the test itself that asks.
        return self._current.direct(event, request) if self._current else None

    def meet(self, fate: Fate, event: str, request: AWSPreparedRequest) -> AWSResponse | None:
        if fate in EFFECTIVE:
            self.watch(event.rpartition(".")[2], request)
        match fate:
            case Fate.ARRIVES:
                return None
            case Fate.THROTTLED:
                return refusal(request, "ThrottlingException")
            case Fate.REFUSED:
                return refusal(request, "LimitExceededException")
            case Fate.ANSWER_LOST | Fate.CRASH_AFTER:
                self._wire.perform(event, request)
        if fate in {Fate.ANSWER_LOST, Fate.BROKEN_OFF}:
            raise ConnectionClosedError(endpoint_url=request.url)
        raise Crash

    def end(self) -> None:
        """Ends every call that is not over."""
        for task in self._tasks:
            while not task.over:
                task.proceed(Fate.CRASH_BEFORE)


@contextmanager
def turns(wire: Wire) -> Iterator[Turns]:
    """Calls that are started from it take turns; those that are not over in the end are ended."""
    taking_turns = Turns(wire)
    with wire.directed(taking_turns.direct):
        try:
            yield taking_turns
        finally:
            taking_turns.end()


class Announcing(Executor):
    """In place of the threads that announce beside the mirror's write: before it, or after it."""

    def __init__(self, *, first: bool) -> None:
        self._first = first

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        later = _Later(lambda: function(*args, **kwargs))
        if self._first:
            later.begin()
        return later


class _Later(Future[T]):
    """Does its work when somebody asks for the result."""

    def __init__(self, work: Callable[[], T]) -> None:
        super().__init__()
        self._work = work

    def begin(self) -> None:
        if not self.done():
            try:
                self.set_result(self._work())
            except Exception as error:  # noqa: BLE001 - raised where the result is asked for
                self.set_exception(error)

    def result(self, timeout: float | None = None) -> T:
        self.begin()
        return super().result(timeout)
