"""The deployment archive as Lambda runs it: unpacked, with nothing else to import but the standard library.

Run by path in an interpreter of its own, this file is Lambda's part: it reads invocations from standard input as
JSON and writes what the functions answered. So it imports nothing but the standard library itself.
"""

import importlib
import json
import os
import subprocess
import sys
import time
import zipfile
from contextlib import redirect_stdout
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

EVENTS = Path(__file__).parent.parent / "events"
TIME_LEFT = timedelta(minutes=4)  # a sweep starts no phone without half a minute

Invocation = tuple[str, dict[str, Any]]
"""The name of a handler in `app.py`, and an event for it."""


def event(name: str) -> dict[str, Any]:
    """A payload as AWS sends it, from `tests/events`."""
    payload: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return payload


def reset_over_http(phone_id: str, authorizer: dict[str, Any], key: str) -> dict[str, Any]:
    """What API Gateway sends when a caller that ``authorizer`` describes resets the phone."""
    asked = event("api_gateway_reset")
    asked.update(path=f"/pbx/sipphone/{phone_id}/resetcredentials", pathParameters={"sipPhoneId": phone_id})
    asked["headers"]["Idempotency-Key"] = key
    asked["multiValueHeaders"]["Idempotency-Key"] = [key]
    asked["requestContext"]["authorizer"] = authorizer
    return asked


def unpacked(archive: Path, folder: Path) -> Path:
    """``folder``, with what ``archive`` holds."""
    with zipfile.ZipFile(archive) as entries:
        entries.extractall(folder)
    return folder


def run(folder: Path, *invocations: Invocation) -> dict[str, Any]:
    """What a fresh Lambda environment with an archive in ``folder`` does with invocations, one after another.

    ``answers``, the ``files`` that modules came from, the ``log``, and the ``seconds`` from the start of the
    process to its last answer. It writes no bytecode (-B), as Lambda's folder is read-only, and has neither the
    virtual environment (-S) nor the checkout (-I) to import from. Its AWS is that of ``AWS_ENDPOINT_URL``.
    """
    started = time.monotonic()
    finished = subprocess.run(
        [sys.executable, "-I", "-S", "-B", __file__, folder],
        input=json.dumps(invocations),
        env={name: value for name, value in os.environ.items() if name.startswith("AWS_")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    done: dict[str, Any] = json.loads(finished.stdout)
    return {**done, "seconds": done["ended"] - started, "log": finished.stderr}


def invoke(folder: str, invocations: list[Invocation]) -> dict[str, Any]:
    """Imports the application from ``folder`` and calls its handlers as Lambda's runtime does.

    A handler that raises has Lambda's kind of answer to that.
    https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html
    """
    sys.path.insert(0, folder)
    app = importlib.import_module("app")
    context = SimpleNamespace(
        **event("lambda_context"), get_remaining_time_in_millis=lambda: TIME_LEFT / timedelta(milliseconds=1)
    )
    answers = []
    for handler, payload in invocations:
        try:
            answers.append(getattr(app, handler)(payload, context))
        except Exception as error:  # noqa: BLE001 - whatever it is, the test is to see it
            answers.append({"errorMessage": str(error), "errorType": type(error).__name__})
    ended = time.monotonic()  # the same clock in all processes
    files = [getattr(module, "__file__", None) for module in sys.modules.values()]
    return {"answers": answers, "ended": ended, "files": [file for file in files if file]}


if __name__ == "__main__":
    with redirect_stdout(sys.stderr):  # the service's log and metrics
        result = invoke(sys.argv[1], json.load(sys.stdin))
    print(json.dumps(result))
