"""The local AWS, kept from an earlier version."""

from pathlib import Path
from typing import Any

import botocore.session
import pytest

from chalicelib.phones import SipPhones
from chalicelib.settings import Settings
from ops.local_aws import create_resources, free_port, simulator
from tests.support.aws import forget_clients


def test_a_table_of_an_earlier_version_gets_the_indexes_that_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with simulator(free_port(), data=tmp_path / "aws", log=tmp_path / "aws.log") as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        forget_clients()
        dynamodb: Any = botocore.session.get_session().create_client("dynamodb")
        dynamodb.create_table(
            TableName="SipPhones",
            KeySchema=[{"AttributeName": "_id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "_id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        dynamodb.put_item(TableName="SipPhones", Item={"_id": {"S": "A" * 24}, "username": {"S": "old"}})
        create_resources(Settings.from_env())
        create_resources(Settings.from_env())
        found = SipPhones.find_by_username("old")
    forget_clients()
    assert found is not None
    assert found.id == "A" * 24
