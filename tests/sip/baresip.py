"""Runs baresip, a softphone that people use."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from chalicelib.credentials import Credentials
from ops.local_aws import free_port, port_is_taken
from tests.sip.phone import Address
from tests.support.debian import module, program

PATIENCE_SECONDS = 40
MODULES = ("account.so", "contact.so", "ctrl_tcp.so", "menu.so")
OUTCOMES = {"REGISTER_OK", "REGISTER_FAIL"}


class Baresip:
    """A softphone that is running, through its module ctrl_tcp: JSON in netstrings."""

    def __init__(self, control: socket.socket, registrar: Address, domain: str) -> None:
        self._control = control.makefile("rwb")
        self._registrar = registrar
        self._domain = domain

    def register(self, pair: Credentials) -> str:
        """Gives it an account with ``pair``; the answer to its registration, such as ``200 OK``."""
        address = f"sip:{pair.username}@{self._domain}"
        host, port = self._registrar
        account = f"<{address}>;auth_user={pair.username};auth_pass={pair.password};regint=3600"
        self._send({"command": "uanew", "params": f'{account};outbound="sip:{host}:{port}"'})
        while True:
            message = self._receive()
            if message.get("accountaor") == address and message["type"] in OUTCOMES:
                return str(message["param"])

    def _send(self, message: dict[str, str]) -> None:
        text = json.dumps(message).encode()
        self._control.write(b"%d:%s," % (len(text), text))
        self._control.flush()

    def _receive(self) -> dict[str, Any]:
        length = b""
        while (digit := self._control.read(1)) != b":":
            assert digit, "baresip has ended"
            length += digit
        message: dict[str, Any] = json.loads(self._control.read(int(length)))
        assert self._control.read(1) == b","
        return message


@contextmanager
def baresip(folder: Path, *, registrar: Address, domain: str) -> Iterator[Baresip]:
    """Runs the softphone without an account."""
    executable, control_module = program("baresip"), module("baresip/modules/ctrl_tcp.so")
    assert executable is not None
    assert control_module is not None
    port = free_port()
    config = [
        "sip_listen 127.0.0.1:0",
        f"module_path {control_module.parent}",
        f"ctrl_tcp_listen 127.0.0.1:{port}",
        *(f"module_app {name}" for name in MODULES),
    ]
    (folder / "config").write_text("\n".join([*config, ""]))
    for name in ("accounts", "contacts"):
        (folder / name).touch()
    with (folder / "log").open("wb") as log:
        phone = subprocess.Popen([executable, "-f", folder], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not port_is_taken(port):
            assert phone.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        with closing(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)) as control:
            yield Baresip(control, registrar, domain)
    finally:
        phone.terminate()
        phone.wait(timeout=PATIENCE_SECONDS)
