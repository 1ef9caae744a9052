"""The registrar feed, as registrars ask it."""

import base64
import json
from urllib.parse import parse_qs, quote, urlencode
from xml.etree import ElementTree

import pytest

from chalicelib.access import AccessLevel
from chalicelib.credentials import Algorithm, Credentials
from chalicelib.phones import SipPhones
from tests.support.api import Answer, Api
from tests.support.aws import Wire
from tests.support.fleet import admin, bearer, imported, reset_path, stored, token

REALM = "sip-phones"
Headers = dict[str, str]


def registrar(**owner: int) -> dict[str, str]:
    return bearer(AccessLevel.REGISTRAR, **owner)


def digest(api: Api, username: str, headers: Headers | None = None, *, query: str = "") -> Answer:
    return api.request("GET", f"/registrar/digest/{quote(username, safe='')}{query}", headers or registrar())


def post(api: Api, path: str, headers: Headers | None = None, /, **form: str) -> Answer:
    content = {"Content-Type": "application/x-www-form-urlencoded"}
    return api.request(
        "POST", f"/registrar/{path}", {**(headers or registrar()), **content}, urlencode(form).encode()
    )


def ha1(phone: SipPhones, algorithm: Algorithm, realm: str = REALM) -> str:
    return Credentials(phone.username, phone.password).ha1(algorithm, realm=realm)


def test_a_username_in_force_is_answered_with_its_digests_and_never_the_password(api: Api) -> None:
    phone = imported(extension="X1", ip={"mode": "LOCKED", "address": "192.0.2.1"})
    answer = digest(api, phone.username)
    pair = Credentials(phone.username, phone.password)
    assert answer.status == 200
    assert answer.json == {
        "username": phone.username,
        "realm": REALM,
        "domain": REALM,
        "ha1": {algorithm: pair.ha1(algorithm, realm=REALM) for algorithm in Algorithm},
        "ha1b": {algorithm: pair.ha1b(algorithm, domain=REALM, realm=REALM) for algorithm in Algorithm},
        "credentialsId": phone.credentials_id,
        "sipPhoneId": phone.id,
        "extension": "X1",
        "customer": phone.customer,
        "ip": {"mode": "LOCKED", "address": "192.0.2.1"},
        "adopted": False,
    }
    assert phone.password not in answer.body.decode()
    assert answer.headers["cache-control"] == "private, max-age=0"


def test_a_phone_has_the_realm_and_domain_that_it_was_imported_with(api: Api) -> None:
    phone = imported(realm="pbx.example.org", domain="sip.example.org")
    known = digest(api, phone.username).json
    assert (known["realm"], known["domain"]) == ("pbx.example.org", "sip.example.org")
    assert known["ha1"]["MD5"] == ha1(phone, Algorithm.MD5, "pbx.example.org")


@pytest.mark.parametrize("username", ["a+b@example.org", "100%", "x/y", "ünknown", "x" * 300])
def test_a_username_of_any_kind_can_be_asked_for(api: Api, username: str) -> None:
    if not username.isascii() or len(username) > 255:
        assert digest(api, username).status == 404
        return
    imported(username=username, password="brought-by-an-import")
    assert digest(api, username).json["username"] == username
    SipPhones(digest(api, username).json["sipPhoneId"]).delete()


def test_another_realm_than_the_phones_is_unknown(api: Api) -> None:
    phone = imported(realm="a.example", domain="b.example")
    assert digest(api, phone.username, query="?realm=a.example").status == 200
    assert digest(api, phone.username, query="?realm=b.example").status == 200
    assert digest(api, phone.username, query="?realm=c.example").status == 404


def test_a_username_that_phones_share_is_refused(api: Api) -> None:
    phones = [imported(username="shared", password=f"pw{number}") for number in range(2)]
    assert digest(api, "shared").status == 404
    for phone in phones:
        phone.delete()


def test_a_reset_without_grace_kills_the_old_pair_at_once_whatever_the_index_says(api: Api, wire: Wire) -> None:
    phone = imported()
    assert digest(api, phone.username).status == 200
    api.request("POST", reset_path(phone.id), admin())
    assert digest(api, phone.username).json["message"] == "not_found"
    assert digest(api, stored(phone.id).username).status == 200
    assert wire


def test_an_old_pair_in_its_grace_period_is_valid_until_then(api: Api) -> None:
    phone = imported()
    answer = api.request("POST", f"{reset_path(phone.id)}?grace=3600", admin())
    assert answer.status == 200
    old, new = digest(api, phone.username).json, digest(api, answer.json["username"]).json
    assert old["validUntil"] == answer.headers["credentials-grace-until"]
    assert old["ha1"]["SHA-256"] == ha1(phone, Algorithm.SHA_256)
    assert old["credentialsId"] == phone.credentials_id
    assert "adopted" not in old
    assert "validUntil" not in new
    assert new["ha1"]["MD5"] == ha1(stored(phone.id), Algorithm.MD5)


@pytest.mark.parametrize("grace", ["-1", "604801", "1.5", "", "\u0663", "1e3", "9" * 40, "PT1H"])
def test_a_grace_period_that_is_none_is_refused_and_changes_nothing(api: Api, grace: str) -> None:
    phone = imported()
    answer = api.request("POST", f"{reset_path(phone.id)}?grace={quote(grace)}", admin())
    assert (answer.status, answer.json["message"]) == (400, "bad_request")
    assert answer.json["description"] == "grace: expected a whole number of seconds from 0 to 604800"
    assert stored(phone.id).credentials_id == phone.credentials_id


def test_a_registration_with_the_new_pair_ends_the_grace_period(api: Api) -> None:
    phone = imported()
    new = api.request("POST", f"{reset_path(phone.id)}?grace=3600", admin()).json["username"]
    assert post(api, "registered", username=phone.username).json["adopted"] is False
    answer = post(api, "registered", username=new)
    assert answer.json == {
        "sipPhoneId": phone.id,
        "credentialsId": stored(phone.id).credentials_id,
        "adopted": True,
    }
    assert digest(api, new).json["adopted"] is True
    assert digest(api, phone.username).status == 404
    assert post(api, "registered", username=phone.username).status == 404


def test_a_registration_can_be_reported_as_json(api: Api) -> None:
    phone = imported()
    headers = {**registrar(), "Content-Type": "application/json"}
    answer = api.request(
        "POST", "/registrar/registered", headers, json.dumps({"username": phone.username}).encode()
    )
    assert answer.json["adopted"] is True


@pytest.mark.parametrize("body", [b"", b"user=x", b"{", b'{"username": 1}', b"\xff\xfe", b"[]", b"{" * 10_000])
def test_a_report_without_a_username_is_refused(api: Api, body: bytes) -> None:
    answer = api.request("POST", "/registrar/registered", registrar(), body)
    assert (answer.status, answer.json["message"]) == (400, "bad_request")


@pytest.mark.parametrize("level", [level for level in AccessLevel if level is not AccessLevel.REGISTRAR])
def test_only_registrars_are_told_digests(api: Api, level: AccessLevel) -> None:
    phone = imported(reseller="R")
    caller = bearer(level, customer=phone.customer, reseller="R")
    answers = [
        digest(api, phone.username, caller),
        *(post(api, path, caller, username=phone.username) for path in POSTS),
    ]
    assert {answer.status for answer in answers} == {403}


POSTS = ("freeswitch", "asterisk/ps_auths/single", "asterisk/ps_auths/multi", "registered")


def test_a_registrar_may_not_reset(api: Api) -> None:
    phone = imported()
    assert api.request("POST", reset_path(phone.id), registrar()).status == 403
    assert stored(phone.id).credentials_id == phone.credentials_id


def test_a_registrar_of_a_cluster_knows_the_phones_of_its_cluster_only(api: Api) -> None:
    inside, outside, nowhere = imported(pbxCluster=1), imported(pbxCluster=2), imported()
    caller = registrar(pbx_cluster=1)
    assert [digest(api, phone.username, caller).status for phone in (inside, outside, nowhere)] == [200, 404, 404]
    assert post(api, "registered", caller, username=outside.username).status == 404
    assert stored(outside.id).adopted_at is None
    assert digest(api, outside.username).status == 200


def test_a_registrar_may_speak_http_basic(api: Api) -> None:
    phone = imported()
    pair = base64.b64encode(f"kamailio:{token(AccessLevel.REGISTRAR)}".encode()).decode()
    assert digest(api, phone.username, {"Authorization": f"Basic {pair}"}).status == 200


@pytest.mark.parametrize("credentials", ["", "x", "!!!!", "Zm9v", base64.b64encode(b"a:b").decode(), "\u00e4"])
def test_basic_credentials_without_a_token_are_refused(api: Api, credentials: str) -> None:
    assert digest(api, "x", {"Authorization": f"Basic {credentials}"}).status == 401


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE", "PATCH", "POST"])
def test_other_methods_are_refused(api: Api, method: str) -> None:
    answer = api.request(method, "/registrar/digest/x", registrar())
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, OPTIONS"


def user(answer: Answer) -> ElementTree.Element | None:
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/xml")
    root = ElementTree.fromstring(answer.body)  # noqa: S314 - our own answer
    assert (root.tag, root.get("type")) == ("document", "freeswitch/xml")
    return root.find("section[@name='directory']/domain/user")


def test_freeswitch_gets_a_directory_entry_with_the_md5_hash(api: Api) -> None:
    phone = imported(extension="X1")
    answer = post(api, "freeswitch", section="directory", user=phone.username, domain=REALM, action="sip_auth")
    entry = user(answer)
    assert entry is not None
    assert entry.get("id") == phone.username
    assert entry.get("cacheable") is None
    (param,) = entry.findall("params/param")
    assert (param.get("name"), param.get("value")) == ("a1-hash", ha1(phone, Algorithm.MD5))
    assert {v.get("name"): v.get("value") for v in entry.findall("variables/variable")} == {
        "sip_phone_id": phone.id,
        "extension": "X1",
        "customer": phone.customer,
    }


@pytest.mark.parametrize(
    "form",
    [
        {"section": "directory", "user": "nobody", "domain": REALM},
        {"section": "directory", "user": "{known}", "domain": "other.example"},
        {"section": "directory", "user": "{known}"},
        {"section": "directory", "domain": REALM, "purpose": "gateways"},
        {"section": "dialplan", "user": "{known}", "domain": REALM},
        {"section": "directory", "user": '<"&', "domain": '<"&'},
        {},
    ],
)
def test_freeswitch_is_told_not_found_in_its_own_words(api: Api, form: dict[str, str]) -> None:
    phone = imported()
    known = {name: value.replace("{known}", phone.username) for name, value in form.items()}
    answer = post(api, "freeswitch", **known)
    assert user(answer) is None
    result = ElementTree.fromstring(answer.body).find("section[@name='result']/result")  # noqa: S314 - our own answer
    assert result is not None
    assert result.get("status") == "not found"


def test_what_is_written_as_xml_is_escaped(api: Api) -> None:
    phone = imported(username='a<b>"&c', password="brought-by-an-import")
    entry = user(post(api, "freeswitch", section="directory", user=phone.username, domain=REALM))
    assert entry is not None
    assert entry.get("id") == phone.username
    phone.delete()


@pytest.mark.parametrize("mode", ["single", "multi"])
def test_asterisk_gets_one_line_of_columns(api: Api, mode: str) -> None:
    phone = imported()
    answer = post(api, f"asterisk/ps_auths/{mode}", id=phone.username)
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.body.decode() == (
        f"id={phone.username}&username={phone.username}&realm={REALM}"
        f"&auth_type=md5&md5_cred={ha1(phone, Algorithm.MD5)}\n"
    )


def test_asterisk_that_knows_password_digest_gets_every_hash_in_256_bytes(api: Api) -> None:
    phone = imported()
    columns = parse_qs(post(api, "asterisk/ps_auths_digest/single", id=phone.username).body.decode().strip())
    assert columns["auth_type"] == ["digest"]
    assert columns["password_digest"] == [",".join(f"{a}:{ha1(phone, a)}" for a in Algorithm)]
    assert all(len(value) < 256 for (value,) in columns.values())


@pytest.mark.parametrize("form", [{"id": "nobody"}, {"id LIKE": "%"}, {"id": ""}, {"id": "%"}, {}])
def test_asterisk_finds_nothing_by_a_pattern_or_an_unknown_name(api: Api, form: dict[str, str]) -> None:
    answer = post(api, "asterisk/ps_auths/multi", **form)
    assert (answer.status, answer.body) == (200, b"")


def test_other_families_do_not_exist(api: Api) -> None:
    assert post(api, "asterisk/ps_endpoints/single", id="x").status == 404


@pytest.mark.parametrize(
    ("asked", "calls"),
    [
        ("in force", ["GetItem", "Query", "GetItem"]),
        ("in grace", ["GetItem", "Query", "Query", "GetItem"]),
        ("unknown", ["GetItem", "Query", "Query"]),
    ],
)
def test_a_lookup_costs_a_query_and_a_consistent_read(api: Api, wire: Wire, asked: str, calls: list[str]) -> None:
    phone = imported()
    headers = registrar()
    api.request("POST", f"{reset_path(phone.id)}?grace=3600", admin())
    username = {"in force": stored(phone.id).username, "in grace": phone.username, "unknown": "nobody"}[asked]
    with wire.recorded() as sent:
        digest(api, username, headers)
    assert sent == calls  # the first is the authorizer's, whose answer API Gateway keeps for a minute
