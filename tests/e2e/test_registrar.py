"""The registrar feed through API Gateway, the Lambda authorizer and the packaged function."""

import base64
import json

import pytest

from chalicelib.access import AccessLevel
from chalicelib.credentials import Algorithm, Credentials
from tests.e2e.conftest import CUSTOMER, Deployed
from tests.support.fleet import new_phone_id, reset_path

pytestmark = pytest.mark.usefixtures("_on_ministack")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def registrar(deployed: Deployed) -> dict[str, str]:
    """A registrar of cluster 1 that speaks HTTP Basic."""
    text = deployed.token(AccessLevel.REGISTRAR, cluster="1")["Authorization"].removeprefix("Bearer ")
    return {"Authorization": "Basic " + base64.b64encode(f"kamailio:{text}".encode()).decode()}


def test_both_pairs_are_valid_until_the_phone_has_registered_with_the_new_one(
    deployed: Deployed, owner: dict[str, str], registrar: dict[str, str]
) -> None:
    phone_id = new_phone_id()
    deployed.add_phones(
        {"_id": phone_id, "customer": CUSTOMER, "pbxCluster": 1, "username": "a+b@c", "password": "old"}
    )
    old = "/registrar/digest/a%2Bb%40c"

    def known(path: str) -> bool:
        answer = deployed.api.request("GET", path, registrar)
        assert answer.status in {200, 404}, answer.body
        return answer.status == 200

    assert known(old)
    reset = deployed.api.request("POST", f"{reset_path(phone_id)}?grace=600", owner)
    assert reset.status == 200, reset.body
    pair = Credentials(reset.json["username"], reset.json["password"])
    new = f"/registrar/digest/{pair.username}"
    assert known(old)
    assert known(new)
    hashes = deployed.api.request("GET", new, registrar).json["ha1"]
    assert hashes == {algorithm: pair.ha1(algorithm, realm="sip-phones") for algorithm in Algorithm}

    body = json.dumps({"username": pair.username}).encode()
    report = deployed.api.request("POST", "/registrar/registered", {**registrar, **FORM}, body)
    assert (report.status, report.json["adopted"]) == (200, True)
    assert not known(old)
    assert known(new)
    assert "adoptedAt" in deployed.stored(phone_id)


def test_freeswitch_and_asterisk_are_answered_in_their_own_formats(
    deployed: Deployed, registrar: dict[str, str]
) -> None:
    phone = {"_id": new_phone_id(), "customer": CUSTOMER, "pbxCluster": 1, "username": "desk7", "password": "pw"}
    deployed.add_phones(phone)
    ha1 = Credentials("desk7", "pw").ha1(Algorithm.MD5, realm="sip-phones")
    headers = {**registrar, **FORM}
    body = b"section=directory&user=desk7&domain=sip-phones"
    freeswitch = deployed.api.request("POST", "/registrar/freeswitch", headers, body)
    assert (freeswitch.status, freeswitch.headers["content-type"]) == (200, "text/xml")
    assert f'value="{ha1}"' in freeswitch.body.decode()
    asterisk = deployed.api.request("POST", "/registrar/asterisk/ps_auths/single", headers, b"id=desk7")
    assert asterisk.body.decode() == f"id=desk7&username=desk7&realm=sip-phones&auth_type=md5&md5_cred={ha1}\n"


def test_a_registrar_of_another_cluster_finds_nothing(deployed: Deployed, registrar: dict[str, str]) -> None:
    deployed.add_phones(
        {"_id": new_phone_id(), "customer": CUSTOMER, "pbxCluster": 2, "username": "x2", "password": "y"}
    )
    assert deployed.api.request("GET", "/registrar/digest/x2", registrar).status == 404
