"""`make run`, as a program on free ports."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from chalicelib.access import AccessLevel
from ops.gateway import PROJECT
from ops.local_aws import free_port
from tests.support.api import HttpApi
from tests.support.fleet import reset_path
from tests.support.program import HANG_SECONDS, ended, running, start


def test_a_newcomer_gets_a_working_service_whose_phones_survive_a_restart(tmp_path: Path, capsys: Any) -> None:
    with running(tmp_path) as service:
        run = service.run
        with capsys.disabled():
            print(
                f"\nmake run, once installed: first reset answered and run.json written in {service.seconds:.1f} s; at most 15 s"
            )
        assert {*run} == {"apiUrl", "awsEndpointUrl", "region", "tokens", "phones"}
        assert {*run["tokens"]} == {*AccessLevel}
        assert (tmp_path / "run.json").stat().st_mode & 0o077 == 0
        first = run["phones"][0]
        assert len({phone["customer"] for phone in run["phones"]}) >= 2
        assert len({phone["reseller"] for phone in run["phones"]} - {None}) >= 2
        assert None in {phone["reseller"] for phone in run["phones"]}
        allowed = {"VIEWER", "MANAGER", "OWNER", "RESELLER", "ADMIN"}
        api = HttpApi(run["apiUrl"])
        answers = {
            level: api.request("GET", reset_path(first["_id"]), {"Authorization": f"Bearer {token}"})
            for level, token in run["tokens"].items()
        }
        assert {level for level, answer in answers.items() if answer.status == 200} == allowed
        api.close()
        last = answers["ADMIN"]
    assert service.seconds < 15

    with running(tmp_path) as service:
        run = service.run
        api = HttpApi(run["apiUrl"])
        second = run["phones"][1]["_id"]
        answer = api.request("GET", reset_path(second), {"Authorization": f"Bearer {run['tokens']['OWNER']}"})
        assert answer.status == 200
        api.close()
        client = subprocess.run(
            [sys.executable, "-m", "ops.cli", "show", first["_id"], "--reveal"],
            cwd=PROJECT, check=True, capture_output=True, text=True,
            env={**os.environ, "AWS_ENDPOINT_URL": run["awsEndpointUrl"]},
        )  # fmt: skip
        # `make run` itself reset the first phone again, so the mirror has a later pair than before.
        shown = json.loads(client.stdout)
        assert shown["password"] != last.json["password"]
        assert shown["credentials"]["copy"] == "current"


def test_phones_that_are_due_are_rotated_beside_the_api(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        run = service.run
        phone_id = next(phone["_id"] for phone in run["phones"] if phone["_id"].endswith("3"))  # every 30 days
        table: Any = botocore.session.get_session().create_client("dynamodb", endpoint_url=run["awsEndpointUrl"])
        key = {"TableName": "SipPhones", "Key": {"_id": {"S": phone_id}}}
        before = table.get_item(**key)["Item"]
        past = {":past": {"N": str(int(time.time()) - 60)}}
        table.update_item(**key, UpdateExpression="SET tendAt = :past", ExpressionAttributeValues=past)
        deadline = time.monotonic() + HANG_SECONDS
        while table.get_item(**key)["Item"]["credentialsId"] == before["credentialsId"]:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert table.get_item(**key)["Item"]["changedVia"] == {"S": "schedule"}


@pytest.mark.engine("roto")
def test_another_aws_can_be_named_by_the_environment(engine: str, tmp_path: Path) -> None:
    assert engine == "roto"
    port = free_port()
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    program = start(tmp_path, port=port, aws_port=0, AWS_ENDPOINT_URL=endpoint)
    run_file = tmp_path / "run.json"
    while not run_file.exists():
        assert program.poll() is None
        time.sleep(0.02)
    assert json.loads(run_file.read_text())["awsEndpointUrl"] == endpoint
    assert not (tmp_path / "aws").exists()
    program.terminate()
    assert ended(program, tmp_path)[1].endswith("Stopped.\n")


def refused(tmp_path: Path, *, port: int, aws_port: int) -> str:
    program = start(tmp_path, port=port, aws_port=aws_port)
    status, output = ended(program, tmp_path)
    assert status == 1
    return output


def test_a_port_that_is_taken_gets_a_line_that_says_how_to_choose_another(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        taken = somebody.getsockname()[1]
        assert refused(tmp_path, port=taken, aws_port=free_port()) == (
            f"Error: port {taken} is taken; choose another: make run PORT={taken + 1}\n"
        )
        assert refused(tmp_path, port=free_port(), aws_port=taken) == (
            f"Error: port {taken} is taken; choose another one: make run AWS_PORT={taken + 1}\n"
        )
