"""Finds the programs of other makers that tests need, and installs them where it may: on Debian, as root.

`python -m tests.support.debian sip` or `browser`. Exit status 0 when everything is there; 1 with one line that says
what is missing.
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

PACKAGES = {
    "sip": {
        "baresip": "baresip-core",
        "baresip/modules/ctrl_tcp.so": "baresip-core",
        "kamailio": "kamailio",
        "kamailio/modules/http_client.so": "kamailio-utils-modules",
        "kamailio/modules/json.so": "kamailio-json-modules",
        "sipp": "sip-tester",
    },
    "browser": {"chromedriver": "chromium-driver", "chromium": "chromium"},
}
"""For each group of tests the programs and modules that are looked for, and the Debian package that has them."""


def program(name: str) -> Path | None:
    """The full path of an installed program."""
    found = shutil.which(name, path=PATH)
    return Path(found) if found else None


def module(name: str) -> Path | None:
    """The full path of a module of one of the programs, such as ``kamailio/modules/json.so``."""
    return next((file for folder in LIBRARIES for file in Path("/").glob(f"{folder}/{name}")), None)


def missing(tests: str) -> list[str]:
    """The Debian packages of what ``tests`` need and is not installed."""
    return sorted(
        {
            package
            for name, package in PACKAGES[tests].items()
            if (module(name) if name.endswith(".so") else program(name)) is None
        }
    )


def install(packages: Iterable[str]) -> None:
    """Raises :class:`subprocess.CalledProcessError` when apt-get fails; it has said why."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", *packages]):
        subprocess.run(["/usr/bin/apt-get", *command], env=environment, check=True, stdout=subprocess.DEVNULL)


def main(tests: str) -> int:
    """The exit status."""
    wanted = missing(tests)
    if wanted and os.geteuid() == 0 and Path("/usr/bin/apt-get").exists():
        print(f"Installing {' '.join(wanted)}")
        try:
            install(wanted)
        except subprocess.CalledProcessError as failure:
            print(f"apt-get failed with status {failure.returncode}: see above", file=sys.stderr)
        wanted = missing(tests)
    if wanted:
        print(f"make {tests} needs the Debian packages {' '.join(wanted)}", file=sys.stderr)
    return 1 if wanted else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
