"""Finds the SIP software that `make sip` needs, and installs it where it may: on Debian, as root.

Exit status 0 when everything is there; 1 with one line that says what is missing.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

# Programs of administrators are not on everybody's PATH.
PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"])
LIBRARIES = ("usr/lib", "usr/lib/*", "usr/lib64", "usr/local/lib", "usr/local/lib64")

PROGRAMS = {"baresip": "baresip-core", "kamailio": "kamailio", "sipp": "sip-tester"}
MODULES = {
    "baresip/modules/ctrl_tcp.so": "baresip-core",
    "kamailio/modules/http_client.so": "kamailio-utils-modules",
    "kamailio/modules/json.so": "kamailio-json-modules",
}
"""What is looked for, and the Debian package that has it."""


def program(name: str) -> Path | None:
    """The full path of an installed program."""
    found = shutil.which(name, path=PATH)
    return Path(found) if found else None


def module(name: str) -> Path | None:
    """The full path of a module of one of the programs, such as ``kamailio/modules/json.so``."""
    return next((file for folder in LIBRARIES for file in Path("/").glob(f"{folder}/{name}")), None)


def missing() -> list[str]:
    """The Debian packages of what is not installed."""
    programs = {package for name, package in PROGRAMS.items() if program(name) is None}
    modules = {package for name, package in MODULES.items() if module(name) is None}
    return sorted(programs | modules)


def install(packages: Iterable[str]) -> None:
    """Raises :class:`subprocess.CalledProcessError` when apt-get fails; it has said why."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", *packages]):
        subprocess.run(["/usr/bin/apt-get", *command], env=environment, check=True, stdout=subprocess.DEVNULL)


def main() -> int:
    """The exit status."""
    wanted = missing()
    if wanted and os.geteuid() == 0 and Path("/usr/bin/apt-get").exists():
        print(f"Installing {' '.join(wanted)}")
        try:
            install(wanted)
        except subprocess.CalledProcessError as failure:
            print(f"apt-get failed with status {failure.returncode}: see above", file=sys.stderr)
        wanted = missing()
    if wanted:
        print(f"make sip needs SIP software; its Debian packages: {' '.join(wanted)}", file=sys.stderr)
    return 1 if wanted else 0


if __name__ == "__main__":
    sys.exit(main())
