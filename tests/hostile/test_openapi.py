"""The API's description held against the API: schemathesis asks whatever the description allows and forbids."""

import json
import logging
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from http import HTTPMethod
from pathlib import Path
from typing import Any

import pytest
import yaml

from chalicelib.access import AccessLevel
from ops.gateway import PROJECT
from tests.hostile.conftest import Sent
from tests.support.api import HttpApi
from tests.support.fleet import bearer, imported, new_owner

pytestmark = pytest.mark.engine("roto")  # the local server over HTTP

DESCRIPTION = PROJECT / "docs" / "openapi.yaml"
CHECKS = Path(__file__).with_name("schemathesis_checks.py")
SEED = 5
REQUESTS = 5_000
METHODS = ["DELETE", "GET", "OPTIONS", "PATCH", "POST", "PUT"]
"""Of the methods that schemathesis tries those that API Gateway has: any other is a resource it does not know.
https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-method-settings.html"""
# VIEWER and MANAGER may what OWNER may, NO_LOGIN what PERSONAL may: the contract tests have all levels.
LIKE_ANOTHER = {AccessLevel.VIEWER, AccessLevel.MANAGER, AccessLevel.NO_LOGIN}
CALLERS = ["nobody", *(level for level in AccessLevel if level not in LIKE_ANOTHER)]
TOKEN_NEEDED = ("/pbx/", "/registrar/")
MAY_DO_SOMETHING = {*AccessLevel} - {AccessLevel.PERSONAL, AccessLevel.NO_LOGIN}


def examples_each() -> int:
    """How many cases each operation gets in a phase; a case is one request, or several in the stateful phase."""
    paths = yaml.safe_load(DESCRIPTION.read_text())["paths"].values()
    operations = sum(name.upper() in list(HTTPMethod) for path in paths for name in path)
    return max(20, REQUESTS * 8 // (10 * len(CALLERS) * operations))


@pytest.fixture(scope="module")
def requests_of() -> Iterator[Counter[str]]:
    """Requests by caller. All callers together make enough of them."""
    counts: Counter[str] = Counter()
    yield counts
    assert counts.keys() < {*CALLERS} or counts.total() >= REQUESTS


def configuration(folder: Path, caller: str) -> Path:
    """Phones to ask for, and who asks: a ``caller`` and, for what it must not see, a neighbour of its level."""
    owner, neighbour = new_owner(), new_owner()
    phones = [imported(customer=whose, reseller=whose) for whose in (owner, owner, owner, neighbour)]
    config: dict[str, Any] = {
        "hooks": str(CHECKS),
        "dictionaries": {
            "phones": {"values": [phone.id for phone in phones]},
            # Those of phones that nobody here can reset.
            "usernames": {"values": [imported().username for _ in range(3)]},
        },
        "parameters": {
            "path.sipPhoneId": {"dictionary": "phones", "probability": 0.6},
            "path.username": {"dictionary": "usernames", "probability": 0.6},
        },
        "phases": {"examples": {"fill-missing": True}, "coverage": {"unexpected-methods": METHODS}},
        "cache": {"enabled": False},
    }
    if caller != "nobody":
        tokens = folder / "tokens.json"
        headers = {
            name: bearer(AccessLevel(caller), customer=whose, reseller=whose)["Authorization"]
            for name, whose in (("caller", owner), ("neighbour", neighbour))
        }
        users = [
            {"name": name, "fixedHeaders": [{"name": "Authorization", "value": value}]}
            for name, value in headers.items()
        ]
        tokens.write_text(json.dumps({"auth": users}))
        config["auth"] = {"wfc": {"path": str(tokens), "user": "caller", "peers": [*headers]}}
    file = folder / "schemathesis.toml"
    file.write_text("\n".join(f"{name} = {inline(value)}" for name, value in config.items()))
    return file


def inline(value: Any) -> str:
    """A value in TOML, on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)} = {inline(item)}" for name, item in value.items()) + "}"
    return json.dumps(value)


@pytest.mark.parametrize("caller", CALLERS)
def test_the_api_answers_what_its_description_says_and_nothing_else(
    api: HttpApi,
    sent: Sent,
    requests_of: Counter[str],
    caller: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    report_file = tmp_path / "report.json"
    with caplog.at_level(logging.INFO, logger="ops.gateway"):
        run = subprocess.run(
            [
                str(Path(sys.executable).with_name("schemathesis")),
                f"--config-file={configuration(tmp_path, caller)}",
                "run", str(DESCRIPTION), f"--url={api.url}", "--checks=all", "--phases=examples,coverage,fuzzing,stateful",
                f"--seed={SEED}", f"--max-examples={examples_each()}", "--generation-database=none",
                "--request-timeout=30", "--no-color", "--report=json", f"--report-json-path={report_file}",
            ],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
    # 127.0.0.1 "GET /path" 200
    logged = [record.getMessage().split() for record in caplog.records if record.name == "ops.gateway"]
    statuses = Counter(status for *_, status in logged)
    has_acted = any(status == "200" and target.startswith(TOKEN_NEEDED) for *_, target, status in logged)
    requests_of[caller] = statuses.total()
    sent[f"requests by schemathesis, seed {SEED}"] += statuses.total()
    print(
        f"schemathesis as {caller}, seed {SEED}: {statuses.total():,} requests, {dict(sorted(statuses.items()))}"
    )

    assert run.returncode == 0, run.stdout + run.stderr
    report = json.loads(report_file.read_text())
    assert {phase["status"] for phase in report["phases"].values()} == {"success"}
    assert has_acted == (caller in MAY_DO_SOMETHING)
