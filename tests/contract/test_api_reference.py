"""The API reference that the service serves: complete by itself, wherever the API is, and open to everybody."""

import json
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import pytest

from ops.gateway import PROJECT
from ops.openapi import openapi
from tests.support.api import Answer, Api
from tests.support.documents import EXAMPLE

PAGES = ["/docs", "/openapi.json", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css", "/docs/start.js"]


def get(api: Api, path: str, **headers: str) -> Answer:
    return api.request("GET", path, headers)


class Links(HTMLParser):
    """The addresses that a page loads or names, and the scripts and styles that it brings itself."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inline: list[str] = []
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.found += [value for name in ("src", "href") if (value := attributes.get(name))]
        self.inline += [name for name in attributes if name.startswith("on") or name == "style"]
        if tag == "style" or (tag == "script" and "src" not in attributes):
            self.inline.append(tag)


def test_the_document_is_the_description_as_json(api: Api) -> None:
    answer = get(api, "/openapi.json")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json == json.loads(json.dumps(openapi()))


@pytest.mark.parametrize("stage", ["", "/v1"])
def test_the_page_loads_what_the_service_serves_and_nothing_else(api: Api, stage: str) -> None:
    page = get(api, "/docs")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    links = Links(page.body)
    assert links.inline == []
    addresses = [urljoin(f"https://api.example{stage}/docs", link) for link in links.found if link != "data:,"]
    assert {urlsplit(address).netloc for address in addresses} == {"api.example"}
    paths = [urlsplit(address).path.removeprefix(stage) for address in addresses]
    assert sorted([*paths, "/docs"]) == sorted(PAGES)


def test_the_page_asks_for_the_document_by_a_relative_address(api: Api) -> None:
    assert b'url: "openapi.json"' in get(api, "/docs/start.js").body
    assert [server["url"] for server in openapi()["servers"]] == ["."]


@pytest.mark.parametrize("path", PAGES)
def test_everybody_may_read_and_keep_it(api: Api, path: str) -> None:
    answer = get(api, path)
    assert answer.status == 200
    assert answer.headers["cache-control"] == "public, max-age=3600"
    for known in (answer.headers["etag"], f'"other", W/{answer.headers["etag"]}'):
        unchanged = get(api, path, **{"If-None-Match": known})
        assert (unchanged.status, unchanged.body, unchanged.headers["etag"]) == (304, b"", answer.headers["etag"])
    assert get(api, path, **{"If-None-Match": '"other"'}).body == answer.body


@pytest.mark.parametrize("path", PAGES)
def test_the_page_may_run_no_script_but_its_own_and_ask_no_other_host(api: Api, path: str) -> None:
    answer = get(api, path)
    policy = dict(rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "name",
    ["index.html", "LICENSE", "..%2Fapi_reference.py", "..%2F..%2Fapp.py", "%2Fetc%2Fpasswd", "nul%00", "x"],
)
def test_no_other_file_can_be_had(api: Api, name: str) -> None:
    answer = get(api, f"/docs/{name}")
    assert (answer.status, answer.json["message"]) == (404, "not_found")


def test_the_large_files_are_sent_compressed_and_what_has_credentials_is_not(api: Api) -> None:
    template = json.loads((PROJECT / ".chalice" / "resources.json").read_text())
    least = template["Resources"]["RestAPI"]["Properties"]["MinimumCompressionSize"]
    assert {path for path in PAGES if len(get(api, path).body) > least} == {*PAGES} - {"/docs", "/docs/start.js"}
    assert len(json.dumps(EXAMPLE)) * 10 < least
