"""A softphone that people use, through a rotation and a reset."""

from pathlib import Path

from tests.sip.baresip import baresip
from tests.sip.kamailio import Kamailio
from tests.sip.service import REALM, Service


def test_a_softphone_registers_is_rotated_and_registers_again(
    service: Service, registrar: Kamailio, phone_id: str, tmp_path: Path
) -> None:
    with baresip(tmp_path, registrar=registrar.address, domain=REALM) as softphone:
        first = service.pair(phone_id)
        assert softphone.register(first) == "200 OK"
        second = service.rotate(phone_id)
        assert softphone.register(first) == "200 OK"
        assert softphone.register(second) == "200 OK"
        assert softphone.register(first) == "401 Unauthorized"
        third = service.reset(phone_id)
        assert softphone.register(second) == "401 Unauthorized"
        assert softphone.register(third) == "200 OK"
