"""A phone goes in by import and comes back by reset with nothing changed but its credentials."""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from pynamodb.attributes import MapAttribute

from chalicelib.phones import DOCUMENT, SipPhones
from ops.openapi import openapi
from tests.support.api import Api
from tests.support.documents import EXAMPLE, as_answered, valid_phones
from tests.support.fleet import admin, import_lines, new_phone_id, reset_path


def assert_survives(api: Api, document: dict[str, Any]) -> None:
    (result,) = import_lines(json.dumps(document))
    assert not result.reason
    answer = api.request("GET", reset_path(document["_id"]), admin())
    assert answer.status == 200
    assert answer.json | {"username": "", "password": ""} == as_answered(document) | {
        "username": "",
        "password": "",
    }


def test_the_example_of_the_api_page_comes_back_unchanged(api: Api) -> None:
    assert_survives(api, EXAMPLE)


@given(document=valid_phones)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_any_valid_phone_comes_back_unchanged(api: Api, document: dict[str, Any]) -> None:
    assert_survives(api, {**document, "_id": new_phone_id()})


def test_the_properties_are_answered_in_the_order_of_the_api_page(api: Api) -> None:
    import_lines(json.dumps(EXAMPLE))
    answer = api.request("GET", reset_path(EXAMPLE["_id"]), admin())
    order = [*EXAMPLE]
    order[order.index("ip") + 1 : order.index("ip") + 1] = ["username", "password"]
    present = set(answer.json)
    assert [*answer.json] == [name for name in order if name in present]


def properties_of(container: Any) -> dict[str, Any]:
    """The names of a model's properties, nested ones included."""
    return {
        attribute.attr_name: properties_of(type(attribute)) if isinstance(attribute, MapAttribute) else None
        for attribute in container.get_attributes().values()
    }


def test_the_model_and_the_documentation_have_the_same_properties() -> None:
    schemas = openapi()["components"]["schemas"]

    def documented(schema: dict[str, Any]) -> dict[str, Any] | None:
        while "$ref" in schema:
            schema = schemas[schema["$ref"].rpartition("/")[2]]
        if "properties" not in schema:
            return None
        return {name: documented(part) for name, part in schema["properties"].items()}

    model = {name: part for name, part in properties_of(SipPhones).items() if name in DOCUMENT}
    assert model == documented(schemas["SipPhone"])
    softkey = SipPhones.softkeys.element_type
    assert properties_of(softkey) == documented(schemas["SipPhone"]["properties"]["softkeys"]["items"])
    assert {*schemas["ImportedSipPhone"]["properties"]} <= {*properties_of(SipPhones)} - DOCUMENT
