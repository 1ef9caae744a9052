"""HTTP byte by byte, for requests that no library would send."""

import json
import socket
import uuid
from urllib.parse import urlsplit

from chalicelib import errors
from tests.support.api import Answer

SECONDS = 30
MESSAGES = {error.code: error.message for error in errors.ServiceError.__subclasses__()}


def exchange(url: str, sent: bytes) -> list[Answer]:
    """Every answer that a server gives to a connection on which ``sent`` arrives, and then nothing more.

    Fails when the server neither answers nor closes in `SECONDS`.
    """
    place = urlsplit(url)
    received = bytearray()
    with socket.create_connection((place.hostname, place.port), timeout=SECONDS) as connection:
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has heard enough: its answer is there to be read all the same
        while data := connection.recv(65536):
            received += data
    return parsed(bytes(received))


def parsed(received: bytes) -> list[Answer]:
    """The final answers in what a server sent."""
    answers = []
    while received:
        head, end, received = received.partition(b"\r\n\r\n")
        assert end, f"half an answer: {head[:200]!r}"
        status_line, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        length = int(headers.get("content-length", 0))
        status = int(status_line.split()[1])
        if status >= 200:
            answers.append(Answer(status, headers, received[:length]))
        received = received[length:]
    return answers


def assert_of_contract(answer: Answer) -> None:
    """The answer is a success, or an error in the words of the contract that is the client's and not ours."""
    assert answer.status in {200, 204} | {code for code in MESSAGES if code < 500}, answer
    assert answer.headers["cache-control"] == "no-store"
    if answer.status >= 400:
        assert answer.headers["content-type"] == "application/json"
        body = json.loads(answer.body)
        assert {*body} == {"code", "message", "description", "requestId"}
        assert (body["code"], body["message"]) == (answer.status, MESSAGES[answer.status])
        assert body["description"]
        uuid.UUID(body["requestId"])
