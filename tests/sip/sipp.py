"""Registers with sipp, a SIP client that shares no code with this project."""

import subprocess
import tempfile
from pathlib import Path

from chalicelib.credentials import Credentials
from tests.sip.phone import Address
from tests.support.debian import program

SCENARIO = Path(__file__).with_name("register.xml")
PATIENCE_SECONDS = 30


def register(registrar: Address, pair: Credentials) -> int:
    """The status that the registrar answers to ``pair``, after its challenge: 200 or 401.

    Any other answer, and none, fails.
    """
    executable = program("sipp")
    assert executable is not None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # In a file and not among the arguments, which every user of the machine can read; in hex, because sipp takes
        # a value that happens to begin with 0x for hex.
        username, password = (f"0x{value.encode().hex()}" for value in (pair.username, pair.password))
        user = f"{pair.username};[authentication username={username} password={password}]"
        (folder / "users.csv").write_text(f"SEQUENTIAL\n{user}\n")
        done = subprocess.run(
            [
                executable, "{}:{}".format(*registrar), "-sf", SCENARIO, "-inf", "users.csv", "-m", "1", "-nostdin",
                "-i", "127.0.0.1", "-trace_logs", "-log_file", "answers", "-timeout", str(PATIENCE_SECONDS),
            ],
            cwd=folder, capture_output=True, text=True, timeout=2 * PATIENCE_SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"sipp ended with {done.returncode}"
        return int((folder / "answers").read_text())
