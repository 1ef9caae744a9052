"""Who may register at a Kamailio that asks the registrar feed."""

import asyncio
from pathlib import Path

import pytest

from chalicelib.credentials import Credentials
from ops.local_aws import free_port
from tests.sip import sipp
from tests.sip.kamailio import Kamailio, kamailio
from tests.sip.phone import Challenge, plugged_in
from tests.sip.service import REALM, Service


def test_the_right_pair_registers(service: Service, registrar: Kamailio, phone_id: str) -> None:
    assert sipp.register(registrar.address, service.pair(phone_id)) == 200


def test_a_wrong_password_is_refused(service: Service, registrar: Kamailio, phone_id: str) -> None:
    pair = service.pair(phone_id)
    assert sipp.register(registrar.address, Credentials(pair.username, "wrong")) == 401


def test_an_unknown_username_is_refused(service: Service, registrar: Kamailio, phone_id: str) -> None:
    assert sipp.register(registrar.address, Credentials("unknown", service.pair(phone_id).password)) == 401


def test_a_phone_of_another_realm_is_refused(service: Service, registrar: Kamailio) -> None:
    (phone_id,) = service.add_phones(1, realm="pbx.example.com")
    assert sipp.register(registrar.address, service.pair(phone_id)) == 401


def test_a_proof_for_another_realm_is_refused(service: Service, registrar: Kamailio, phone_id: str) -> None:
    async def status() -> int:
        async with plugged_in(registrar.address, REALM) as phone:
            pair = service.pair(phone_id)
            await phone.register(pair)
            assert phone.challenge is not None
            phone.challenge = Challenge("pbx.example.com", phone.challenge.nonce, phone.challenge.algorithm)
            return (await phone.ask(pair)).status

    assert asyncio.run(status()) == 401


def test_a_pair_does_not_register_another_user(service: Service, registrar: Kamailio, phone_id: str) -> None:
    async def status() -> int:
        async with plugged_in(registrar.address, REALM) as phone:
            return (await phone.register(service.pair(phone_id), user="another")).status

    assert asyncio.run(status()) == 403


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_a_phone_proves_its_password_with_the_algorithm_it_is_asked_for(
    service: Service, registrar: Kamailio, sha256_registrar: Kamailio, phone_id: str, algorithm: str
) -> None:
    asking = {"MD5": registrar, "SHA-256": sha256_registrar}[algorithm]
    pair = service.pair(phone_id)

    async def attempts() -> tuple[int, int, str]:
        async with plugged_in(asking.address, REALM) as phone:
            wrong = await phone.register(Credentials(pair.username, "wrong"))
            right = await phone.register(pair)
            assert phone.challenge is not None
            return wrong.status, right.status, phone.challenge.algorithm

    assert asyncio.run(attempts()) == (401, 200, algorithm)


def test_while_the_feed_is_out_of_reach_nobody_is_told_that_the_password_is_wrong(tmp_path: Path) -> None:
    async def status(registrar: Kamailio) -> int:
        async with plugged_in(registrar.address, REALM) as phone:
            return (await phone.register(Credentials("anybody", "anything"))).status

    with kamailio(tmp_path, feed=f"http://kamailio:token@127.0.0.1:{free_port()}") as cut_off:
        assert asyncio.run(status(cut_off)) == 503
