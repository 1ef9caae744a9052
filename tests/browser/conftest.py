"""Chromium, and the addresses at which it finds the service: at the root, and behind the path of a stage."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import urllib3
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

import app
from ops.gateway import GatewayServer
from tests.support.debian import missing, program

STAGE = "/v1"
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--window-size=1200,2400",
)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    assert not missing("browser"), "run `make browser`, which installs what is missing or says what it is"
    options = ChromeOptions()
    options.binary_location = str(program("chromium"))
    for option in (*OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = Chrome(options, Service(str(program("chromedriver"))))
    yield chrome
    chrome.quit()


@pytest.fixture(params=["", STAGE])
def address(request: pytest.FixtureRequest, engine: str) -> Iterator[str]:
    """Where the API is."""
    assert engine == "roto"
    service = GatewayServer(app.app)
    service.serve_in_background()
    stage = ThreadingHTTPServer(("127.0.0.1", 0), type("Stage", (_Stage,), {"service": service.url}))
    Thread(target=stage.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{stage.server_port}{STAGE}" if request.param else service.url
    for server in (stage, service):
        server.shutdown()
        server.server_close()


class _Stage(BaseHTTPRequestHandler):
    """Hands on what is below the stage's path, as API Gateway does, and has nothing else."""

    service: str

    def do_GET(self) -> None:
        if not self.path.startswith(f"{STAGE}/"):
            self.send_error(403)
            return
        answer = urllib3.request(
            self.command,
            self.service + self.path.removeprefix(STAGE),
            headers=dict(self.headers),
            body=self.rfile.read(int(self.headers.get("Content-Length", 0))),
            retries=False,
        )
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.data)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Says nothing."""
