"""A person at the API reference: reads it, tries a reset with a token, and sees what the service answered."""

import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.expected_conditions import element_to_be_clickable, invisibility_of_element
from selenium.webdriver.support.wait import WebDriverWait

from chalicelib.access import AccessLevel
from chalicelib.phones import SipPhones
from tests.support.fleet import imported, new_phone_id, stored, token

pytestmark = pytest.mark.engine("roto")  # the service over HTTP

SECONDS = 60
OPERATION = "#operations-Reset-postResetCredentials"


def found(browser: Chrome, selector: str) -> WebElement:
    """The element, once a person could click it."""
    place = (By.CSS_SELECTOR, selector)
    return WebDriverWait(browser, SECONDS).until(element_to_be_clickable(place), message=selector)


def complaints(browser: Chrome) -> list[str]:
    """The warnings and errors in the console since it was last asked, but for answers of 4xx, which are errors there."""
    entries = [entry for entry in browser.get_log("browser") if entry["level"] in {"WARNING", "SEVERE"}]
    return [
        entry["message"] for entry in entries if "the server responded with a status of 4" not in entry["message"]
    ]


@pytest.fixture
def page(browser: Chrome, address: str) -> Chrome:
    browser.get(f"{address}/docs")
    found(browser, OPERATION)
    return browser


@pytest.fixture
def phone() -> SipPhones:
    return imported()


def authorize(page: Chrome, text: str) -> None:
    found(page, ".auth-wrapper .authorize").click()
    found(page, "#auth-bearer-value").send_keys(text)
    found(page, ".auth-container .authorize").click()
    done = found(page, ".auth-container .btn-done")
    done.click()
    WebDriverWait(page, SECONDS).until(invisibility_of_element(done))


def reset(page: Chrome, phone_id: str) -> tuple[int, Any]:
    """Status and body of the answer, as the page shows them."""
    found(page, f"{OPERATION} .opblock-summary-control").click()
    field = found(page, f'{OPERATION} [data-param-name="sipPhoneId"] input')
    field.clear()
    field.send_keys(phone_id)
    found(page, f"{OPERATION} .execute").click()
    answer = f"{OPERATION} .live-responses-table tbody"
    status = found(page, f"{answer} .response-col_status").text
    return int(status.split()[0]), json.loads(found(page, f"{answer} .highlight-code code").text)


def test_the_page_shows_every_operation_and_nothing_is_refused_or_fails(page: Chrome, address: str) -> None:
    assert page.title == "SIP phone credentials: API reference"
    shown = {element.text for element in page.find_elements(By.CSS_SELECTOR, ".opblock-summary-path")}
    assert "/pbx/sipphone/{sipPhoneId}/resetcredentials" in {path.replace("\u200b", "") for path in shown}
    assert complaints(page) == []
    loaded = page.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert {urlsplit(name).netloc for name in loaded} == {urlsplit(address).netloc}
    assert f"{address}/openapi.json" in loaded


def test_a_reset_with_a_token_shows_the_new_credentials(page: Chrome, phone: SipPhones) -> None:
    authorize(page, token(AccessLevel.OWNER, customer=phone.customer))
    status, body = reset(page, phone.id)
    now = stored(phone.id)
    assert (status, body["_id"]) == (200, phone.id)
    assert (body["username"], body["password"]) == (now.username, now.password)
    assert now.password != phone.password
    assert complaints(page) == []


def test_a_token_that_nobody_issued_is_refused(page: Chrome, phone: SipPhones) -> None:
    authorize(page, f"sipcred_{'0' * 16}_{'0' * 64}")
    status, body = reset(page, phone.id)
    assert (status, body["message"]) == (401, "unauthorized")
    assert stored(phone.id).password == phone.password
    assert complaints(page) == []


def test_a_phone_that_does_not_exist_is_refused(page: Chrome) -> None:
    authorize(page, token(AccessLevel.ADMIN))
    status, body = reset(page, new_phone_id())
    assert (status, body["message"]) == (404, "not_found")
    assert complaints(page) == []


def test_the_token_is_forgotten_when_the_page_is_loaded_anew(page: Chrome, phone: SipPhones) -> None:
    authorize(page, token(AccessLevel.OWNER, customer=phone.customer))
    page.refresh()
    assert reset(page, phone.id)[0] == 401
