"""Two ways to the API: through Chalice's test client, and over HTTP."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import urllib3
from chalice.test import Client

import app
from ops.gateway import Gateway, GatewayServer


@dataclass(frozen=True)
class Answer:
    """An answer of the API. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Api(Protocol):
    """Something that takes requests."""

    def request(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Answer: ...


class ChaliceApi:
    """The application through ``chalice.test.Client``, behind the gateway responses of the deployment."""

    def __init__(self) -> None:
        self._client = Client(app.app)
        self._client.http._local_gateway = Gateway(app.app)

    def request(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        answer = self._client.http.request(method, path, headers=dict(headers), body=body)
        return Answer(
            answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, answer.body
        )


class HttpApi:
    """The local server over HTTP."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._pool = urllib3.PoolManager()

    def request(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        answer = self._pool.request(
            method,
            self.url + path,
            body=body or None,
            headers=dict(headers),
            retries=False,
            timeout=30,
            redirect=False,
        )
        return Answer(answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.data)

    def close(self) -> None:
        self._pool.clear()


@contextmanager
def http_api() -> Iterator[HttpApi]:
    """The local server on a free port."""
    server = GatewayServer(app.app)
    server.serve_in_background()
    api = HttpApi(server.url)
    try:
        yield api
    finally:
        api.close()
        server.shutdown()
        server.server_close()
