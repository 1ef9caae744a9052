"""Reading the whole fleet, and finding phones in it."""

from typing import Any

import pytest

import app
from chalicelib.phones import SipPhones
from ops.fleet import SEGMENTS, Criteria, Fleet, canonical_mac
from tests.support.aws import Wire
from tests.support.fleet import imported, new_owner

pytestmark = pytest.mark.usefixtures("engine")


@pytest.fixture
def fleet(aws_client: Any) -> Fleet:
    assert app.services()
    return Fleet(aws_client("dynamodb"), SipPhones.Meta.table_name)


@pytest.fixture
def some() -> set[str]:
    return {imported(extension="some").id for _ in range(12)}


def test_every_phone_is_read_once(fleet: Fleet, some: set[str]) -> None:
    read = [phone.id for page in fleet.pages(["_id"], page_size=2) for phone in page.phones]
    assert some <= {*read}
    assert len(read) == len({*read})


def test_no_more_is_read_of_a_phone_than_is_asked_for(fleet: Fleet, some: set[str], wire: Wire) -> None:
    projections = set[str]()
    with wire.watched("Scan", lambda request: projections.add(str(request.body))):
        phones = [phone for page in fleet.pages(["_id", "status.configLoaded"]) for phone in page.phones]
    assert {phone.password for phone in phones if phone.id in some} == {None}
    assert all("password" not in projection for projection in projections)


def test_a_reading_goes_on_where_another_one_stopped(fleet: Fleet, some: set[str]) -> None:
    pages = fleet.pages(["_id"], page_size=2)
    first = next(pages)
    pages.close()
    starts = {**dict.fromkeys(range(SEGMENTS)), first.segment: first.last_id}
    if first.last_id is None:
        del starts[first.segment]
    rest = {phone.id for page in fleet.pages(["_id"], starts=starts) for phone in page.phones}
    assert rest.isdisjoint(phone.id for phone in first.phones)
    assert some <= rest | {phone.id for phone in first.phones}


def test_a_customers_phones_are_found_without_reading_the_others(fleet: Fleet, wire: Wire) -> None:
    customer = new_owner()
    mine = {imported(customer=customer).id for _ in range(3)}
    imported()
    with wire.recorded() as sent:
        found = {phone.id for phone in fleet.find(Criteria(customer=customer), ["_id"])}
    assert found == mine
    assert sent == ["Query", "BatchGetItem"]


@pytest.mark.parametrize("text", ["00:04:13:a1:b2:c3", "00-04-13-A1-B2-C3", "0004.13a1.b2c3", "000413A1B2C3"])
def test_a_mac_address_may_be_written_in_any_of_the_usual_ways(text: str) -> None:
    assert canonical_mac(text) == "000413A1B2C3"


@pytest.mark.parametrize("text", ["", "000413A1B2C", "000413A1B2C3D4", "000413A1B2CX"])
def test_what_is_no_mac_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a MAC address"):
        canonical_mac(text)
