"""Requests as bytes: what HTTP forbids, what it allows and hardly anyone sends, and what it never heard of."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hostile.conftest import Sent
from tests.support.api import HttpApi
from tests.support.fleet import admin, imported, pair_of, reset_path, stored
from tests.support.raw import assert_of_contract, exchange

pytestmark = pytest.mark.engine("roto")  # the local server over HTTP

CRLF = b"\r\n"
MEGABYTE = 1_000_000
FUZZED = 1_500


@dataclass(frozen=True)
class Target:
    """Two phones, one that requests name and one that they try to reach by the way, and who may reset both."""

    url: str
    phone: str
    other: str
    authorization: bytes = field(repr=False)

    def request(
        self, *lines: bytes, body: bytes = b"", method: bytes = b"POST", version: bytes = b"HTTP/1.1"
    ) -> bytes:
        """A request that resets the phone, but for what ``lines`` add to its head."""
        return (
            self.head(method + b" " + self.path + b" " + version, b"Host: api", self.authorization, *lines) + body
        )

    def head(self, *lines: bytes) -> bytes:
        return CRLF.join([*lines, b"", b""])

    def to(self, target: bytes) -> bytes:
        """A request that has everything but the path."""
        return self.head(b"POST " + target + b" HTTP/1.1", b"Host: api", self.authorization)

    @property
    def path(self) -> bytes:
        return reset_path(self.phone).encode()

    @property
    def smuggled(self) -> bytes:
        """A request for the other phone, to be hidden in the one for the phone."""
        return self.head(
            b"POST " + reset_path(self.other).encode() + b" HTTP/1.1", b"Host: api", self.authorization
        )


@pytest.fixture(scope="module")
def target(api: HttpApi) -> Target:
    header = f"Authorization: {admin()['Authorization']}".encode()
    return Target(api.url, imported().id, imported().id, header)


@pytest.fixture(autouse=True)
def healthy(target: Target) -> Iterator[None]:
    """Whatever a test sent, the server answers the next request as it should."""
    yield
    (answer,) = exchange(target.url, target.request())
    assert answer.status == 200


def answered(target: Target, sent: bytes) -> list[int]:
    """The statuses of all answers to ``sent``. No phone changes but the one that a 200 is about."""
    before, other = pair_of(stored(target.phone)), pair_of(stored(target.other))
    answers = exchange(target.url, sent)
    for answer in answers:
        assert_of_contract(answer)
    resets = [(answer.json["username"], answer.json["password"]) for answer in answers if answer.status == 200]
    assert pair_of(stored(target.phone)) == [before, *resets][-1]
    assert pair_of(stored(target.other)) == other
    return [answer.status for answer in answers]


def length(value: bytes | int) -> bytes:
    return b"Content-Length: " + (value if isinstance(value, bytes) else b"%d" % value)


CHUNKED = b"Transfer-Encoding: chunked"
ONE_CHUNK = b"5\r\nhello\r\n0\r\n\r\n"
BIG_BODY = 11 * 1024 * 1024
DEEP_JSON = b"[" * 100_000

# What comes, and the statuses of all answers on that connection.
SHAPES: dict[str, tuple[Callable[[Target], bytes], list[int]]] = {
    "nothing": (lambda _: b"", []),
    "a request": (lambda t: t.request(), [200]),
    "two requests at once": (lambda t: t.request() * 2, [200, 200]),
    "half a head": (lambda t: t.request()[:-2], [400]),
    "half a body": (lambda t: t.request(length(10), body=b"12345"), [400]),
    "HTTP/0.9": (lambda t: b"GET " + t.path + CRLF, [400]),
    "HTTP/0.9 with a blank line": (lambda t: b"GET " + t.path + CRLF * 2, [400]),
    "HTTP/1.0": (lambda t: t.request(version=b"HTTP/1.0") * 2, [200]),
    "HTTP/1.2": (lambda t: t.request(version=b"HTTP/1.2"), [400]),
    "HTTP/2.0": (lambda t: t.request(version=b"HTTP/2.0"), [400]),
    "HTTP/9": (lambda t: t.request(version=b"HTTP/9"), [400]),
    "http/1.1": (lambda t: t.request(version=b"http/1.1"), [400]),
    "the preface of HTTP/2": (lambda t: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + t.request(), [400]),
    "the upgrade to HTTP/2": (lambda t: t.request(b"Connection: Upgrade", b"Upgrade: h2c") * 2, [200, 200]),
    "TLS": (lambda _: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 512, [400]),
    "no host": (lambda t: t.head(b"POST " + t.path + b" HTTP/1.1", t.authorization), [400]),
    "two hosts": (lambda t: t.request(b"Host: other"), [400]),
    "a head of bare line feeds": (lambda t: t.request().replace(CRLF, b"\n"), [200]),  # RFC 9112, section 2.2
    "a head of bare carriage returns": (lambda t: t.request().replace(CRLF, b"\r"), [400]),
    "a carriage return in a header": (lambda t: t.request(b"X: a\rContent-Length: 9"), [400]),
    "a line feed in a header": (lambda t: t.request(b"X: a\nIdempotency-Key: ", b"Y: b"), [400]),
    "a header without a colon": (lambda t: t.request(b"X", length(999)), [400]),
    "a header without a name": (lambda t: t.request(b": x"), [400]),
    "a space before the colon": (lambda t: t.request(b"Content-Length : 5", body=b"hello"), [400]),
    "a space before the name": (lambda t: t.head(b"POST " + t.path + b" HTTP/1.1", b" Host: api"), [400]),
    "a folded header": (lambda t: t.request(b"X: a\r\n b"), [200]),  # RFC 9112, section 5.2
    "a name that is no token": (lambda t: t.request(b"X(Y): a"), [400]),
    "null in a header": (lambda t: t.request(b"X: a\0b"), [400]),
    "null in a name": (lambda t: t.request(b"X\0: a"), [400]),
    "null in the key": (lambda t: t.request(b"Idempotency-Key: a\0"), [400]),
    "null in the token": (lambda t: t.to(t.path).replace(t.authorization, b"Authorization: Bearer \0"), [400]),
    "control characters in the key": (lambda t: t.request(b"Idempotency-Key: a\x01\x1b[2J"), [400]),
    "bytes beyond ASCII in the key": (lambda t: t.request(b"Idempotency-Key: \xff\xfe"), [400]),
    "bytes beyond ASCII in a header": (lambda t: t.request(b"X: \xff\xfe"), [200]),
    "an empty key": (lambda t: t.request(b"Idempotency-Key:"), [400]),
    "two keys": (lambda t: t.request(b"Idempotency-Key: a", b"Idempotency-Key: b"), [400]),
    "two keys in two spellings": (lambda t: t.request(b"Idempotency-Key: a", b"idempotency-key: b"), [400]),
    "the same key twice": (lambda t: t.request(b"Idempotency-Key: twice", b"idempotency-key: twice"), [200]),
    # The last value counts, as in the event of API Gateway.
    "a bad token after a good one": (lambda t: t.request(b"Authorization: Bearer x"), [401]),
    "a bad token before a good one": (lambda t: t.request(t.authorization).replace(t.authorization, b"Authorization: Bearer x", 1), [200]),
    "two good tokens": (lambda t: t.request(t.authorization), [200]),
    "a megabyte of token": (lambda t: t.request(b"Authorization: Bearer " + b"x" * MEGABYTE), [400]),
    "a megabyte of key": (lambda t: t.request(b"Idempotency-Key: " + b"k" * MEGABYTE), [400]),
    "a megabyte of name": (lambda t: t.request(b"X" * MEGABYTE + b": y"), [400]),
    "a megabyte of headers": (lambda t: t.request(*[b"X: y"] * (MEGABYTE // 6)), [400]),
    "a megabyte of spaces": (lambda t: t.request(b"X:" + b" " * MEGABYTE), [400]),
    "a megabyte of method": (lambda t: t.request(method=b"X" * MEGABYTE), [400]),
    "a megabyte of blank lines": (lambda t: CRLF * (MEGABYTE // 2) + t.request(), [400]),
    "headers as long as API Gateway takes them": (lambda t: t.request(b"X: " + b"x" * 9_900), [200]),
    "headers longer than API Gateway takes them": (lambda t: t.request(b"X: " + b"x" * 10_240), [400]),
    "a body that nobody asked for": (lambda t: t.request(length(5), body=b"hello"), [200]),
    "a body of GET": (lambda t: t.request(length(5), body=b"hello", method=b"GET"), [200]),
    "a megabyte of body": (lambda t: t.request(length(MEGABYTE), body=b"x" * MEGABYTE), [200]),
    "a body longer than API Gateway takes it": (lambda t: t.request(length(BIG_BODY), body=b"x" * BIG_BODY), [400]),
    "a body of 100,000 levels": (lambda t: t.request(b"Content-Type: application/json", length(len(DEEP_JSON)), body=DEEP_JSON), [200]),
    "a body that is no Unicode": (lambda t: t.request(b"Content-Type: application/json", length(3), body=b"\xff\xfe\0"), [200]),
    "a body in an encoding that nobody knows": (lambda t: t.request(b"Content-Encoding: x", length(3), body=b"abc"), [200]),
    "a length that is no number": (lambda t: t.request(length(b"five"), body=b"hello"), [400]),
    "a length below zero": (lambda t: t.request(length(-5)), [400]),
    "a length with a sign": (lambda t: t.request(length(b"+5"), body=b"hello"), [400]),
    "a length in hexadecimal": (lambda t: t.request(length(b"0x5"), body=b"hello"), [400]),
    "a length in Arabic digits": (lambda t: t.request(length("\u0665".encode()), body=b"hello"), [400]),
    "a length beyond all bounds": (lambda t: t.request(length(b"9" * 40)), [400]),
    "a length of 2 to the 64th": (lambda t: t.request(length(2**64)), [400]),
    "an empty length": (lambda t: t.request(length(b"")), [400]),
    "the same length twice": (lambda t: t.request(length(5), length(5), body=b"hello"), [200]),
    "two lengths": (lambda t: t.request(length(0), length(len(t.smuggled)), body=t.smuggled), [400]),
    "two lengths in one": (lambda t: t.request(length(b"0, 5"), body=b"hello"), [400]),
    "a chunked body": (lambda t: t.request(CHUNKED, body=ONE_CHUNK), [200]),
    "a chunked body and another request": (lambda t: t.request(CHUNKED, body=ONE_CHUNK) + t.request(), [200, 200]),
    "a request inside a chunk": (lambda t: t.request(CHUNKED, body=b"%x\r\n" % len(t.smuggled) + t.smuggled + b"\r\n0\r\n\r\n"), [200]),
    "a request inside a body": (lambda t: t.request(length(len(t.smuggled)), body=t.smuggled), [200]),
    "a chunk with an extension": (lambda t: t.request(CHUNKED, body=b"5;a=b\r\nhello\r\n0\r\n\r\n"), [200]),
    "a chunk with a line feed in its extension": (lambda t: t.request(CHUNKED, body=b"5;a\nb\r\nhello\r\n0\r\n\r\n"), [400]),
    "a trailer": (lambda t: t.request(CHUNKED, body=b"0\r\nIdempotency-Key: \r\n\r\n"), [200]),
    "a chunk of no size": (lambda t: t.request(CHUNKED, body=b"x\r\nhello\r\n0\r\n\r\n"), [400]),
    "a chunk of a size below zero": (lambda t: t.request(CHUNKED, body=b"-5\r\nhello\r\n0\r\n\r\n"), [400]),
    "a chunk that is longer than it says": (lambda t: t.request(CHUNKED, body=b"2\r\nhello\r\n0\r\n\r\n"), [400]),
    "a chunk of 2 to the 64th": (lambda t: t.request(CHUNKED, body=b"10000000000000000\r\nhello"), [400]),
    "no last chunk": (lambda t: t.request(CHUNKED, body=b"5\r\nhello\r\n"), [400]),
    "chunks longer than API Gateway takes them": (lambda t: t.request(CHUNKED, body=b"%x\r\n" % BIG_BODY + b"x" * BIG_BODY + b"\r\n0\r\n\r\n"), [400]),
    "a length and chunks": (lambda t: t.request(length(len(t.smuggled) + 5), CHUNKED, body=b"0\r\n\r\n" + t.smuggled), [400]),
    "chunks and a length": (lambda t: t.request(CHUNKED, length(3), body=b"0\r\n\r\n" + t.smuggled), [400]),
    "chunked twice": (lambda t: t.request(CHUNKED, CHUNKED, body=b"0\r\n\r\n" + t.smuggled), [400]),
    "chunked and then something": (lambda t: t.request(b"Transfer-Encoding: chunked, x", body=b"0\r\n\r\n" + t.smuggled), [400]),
    "something like chunked": (lambda t: t.request(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n" + t.smuggled), [400]),
    "chunked behind a tabulator": (lambda t: t.request(b"Transfer-Encoding:\x0bchunked", body=b"0\r\n\r\n" + t.smuggled), [400]),
    "chunked before a space": (lambda t: t.request(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n" + t.smuggled), [400]),
    "identity": (lambda t: t.request(b"Transfer-Encoding: identity", body=t.smuggled), [400]),
    "chunks in HTTP/1.0": (lambda t: t.request(CHUNKED, body=b"0\r\n\r\n" + t.smuggled, version=b"HTTP/1.0"), [200]),
    "an expectation": (lambda t: t.request(b"Expect: 100-continue", length(5), body=b"hello"), [200]),
    "an expectation that nobody knows": (lambda t: t.request(b"Expect: a miracle"), [200]),
    "a method in lower case": (lambda t: t.request(method=b"post"), [404]),
    "a method that nobody knows": (lambda t: t.request(method=b"RESET"), [404]),
    "a method that is no token": (lambda t: t.request(method=b"PO(ST"), [400]),
    "a method of null": (lambda t: t.request(method=b"PO\0ST"), [400]),
    "a method that is not allowed": (lambda t: t.request(method=b"DELETE"), [405]),
    "a method in a header": (lambda t: t.request(b"X-HTTP-Method-Override: POST", method=b"PUT"), [405]),
    "TRACE": (lambda t: t.request(method=b"TRACE"), [404]),
    "CONNECT": (lambda t: t.head(b"CONNECT example.com:443 HTTP/1.1", b"Host: api"), [404]),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_a_request_of_any_shape_is_answered_as_http_has_it(target: Target, sent: Sent, shape: str) -> None:
    make, statuses = SHAPES[shape]
    sent["requests of a shape of their own"] += 1
    assert answered(target, make(target)) == statuses


PHONE = b"/pbx/sipphone/%s/resetcredentials"

# What is asked for, with %s for the phone's id, and the status of the answer.
TARGETS: dict[str, tuple[bytes, int]] = {
    "its path": (PHONE, 200),
    "a path with a slash at its end": (PHONE + b"/", 200),  # API Gateway takes it off
    "a path with a query": (PHONE + b"?sipPhoneId=x&%zz&&=;#", 200),
    "a path with two slashes in front": (b"/" + PHONE, 200),
    "an absolute address": (b"http://api" + PHONE, 200),  # RFC 9112, section 3.2.2
    "an absolute address of another server": (b"https://user@[::1]:99999" + PHONE, 200),
    "an absolute address that is none": (b"http://[" + PHONE, 404),
    "an address of another kind": (b"ftp://api" + PHONE, 404),
    "an address without a path": (b"http://api", 404),
    "a server in front of the path": (b"//api" + PHONE, 404),
    "no path": (b"?" + PHONE, 404),
    "an asterisk": (b"*", 404),
    "a host and a port": (b"api:443", 404),
    "a parameter of the path": (PHONE + b";a=b", 404),
    "a fragment": (PHONE + b"#fragment", 404),
    "a slash in the middle": (b"/pbx//sipphone/%s/resetcredentials", 404),
    "slashes at the end": (PHONE + b"//", 404),
    "dots": (b"/pbx/sipphone/./%s/resetcredentials", 404),
    "dots that lead back to it": (b"/pbx/sipphone/x/../%s/resetcredentials", 404),
    "dots that lead out": (b"/../../../../etc/passwd", 404),
    "encoded dots": (b"/pbx/sipphone/x/%%2e%%2e/%s/resetcredentials", 404),
    "an encoded slash": (b"/pbx%%2Fsipphone/%s/resetcredentials", 404),
    "an encoded slash in the id": (b"/pbx/sipphone/%s%%2F/resetcredentials", 404),
    "an encoded null in the id": (b"/pbx/sipphone/%s%%00/resetcredentials", 404),
    "an encoded line feed in the id": (b"/pbx/sipphone/%s%%0A/resetcredentials", 404),
    "a per cent sign": (b"/pbx/sipphone/%s%%/resetcredentials", 404),
    "another id behind it": (b"/pbx/sipphone/%s,%s/resetcredentials", 404),
    "a backslash": (b"\\pbx\\sipphone\\%s\\resetcredentials", 404),
    "digits of another script": (b"/pbx/sipphone/%%EF%%BC%%95%s/resetcredentials", 404),
    "raw bytes beyond ASCII": (b"/pbx/sipphone/\xef\xbc\x95%s/resetcredentials", 400),
    "a space": (b"/pbx/sipphone/ %s/resetcredentials", 400),
    "a null": (b"/pbx/sipphone/\0%s/resetcredentials", 400),
    "a path of 9,000 bytes": (b"/pbx/sipphone/%s/" + b"x" * 9_000, 404),
    "a query of 9,000 fields": (PHONE + b"?" + b"&" * 9_000, 200),
    "a path of 11,000 bytes": (b"/pbx/sipphone/%s/" + b"x" * 11_000, 400),
    "a path of a megabyte": (b"/pbx/sipphone/%s/" + b"x" * MEGABYTE, 400),
    "a path of 4,000 levels": (b"/x" * 4_000, 404),
}


@pytest.mark.parametrize("name", TARGETS)
def test_a_path_leads_to_the_phone_that_it_names_or_nowhere(target: Target, sent: Sent, name: str) -> None:
    path, status = TARGETS[name]
    sent["requests for a path of their own"] += 1
    phone = target.phone.encode()
    assert answered(target, target.to(path.replace(b"%s", phone).replace(b"%%", b"%"))) == [status]


# What requests are made of, in any order. PATH and TOKEN stand for those of the phone.
PIECES = [
    b"GET", b"POST", b" ", b"PATH", b"http://api", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b"Host: api\r\n",
    b"TOKEN\r\n", b"Authorization: ", b"Bearer ", b"Idempotency-Key: ", b"Content-Length: ", b"5", b"0", b"hello",
    b"Transfer-Encoding: ", b"chunked", b"Connection: ", b"close", b"keep-alive", b"Upgrade: h2c", b"Expect: 100-continue",
    b"\r\n", b"\n", b"\r", b"\0", b"\t", b":", b",", b";", b"%", b"?", b"#", b"\xff", ONE_CHUNK,
]  # fmt: skip
soup = st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=8)), max_size=40).map(b"".join)
cut = st.tuples(
    st.integers(0, 10_000), st.integers(0, 3), st.one_of(st.sampled_from(PIECES), st.binary(max_size=8))
)


@settings(max_examples=FUZZED)
@given(soup)
def test_a_request_of_pieces_in_any_order_is_an_answer_of_the_contract(
    target: Target, sent: Sent, pieces: bytes
) -> None:
    sent["requests of pieces in any order"] += 1
    answered(target, pieces.replace(b"PATH", target.path).replace(b"TOKEN", target.authorization))


@settings(max_examples=FUZZED)
@given(body=st.sampled_from([b"", b"hello", ONE_CHUNK]), cuts=st.lists(cut, max_size=4))
def test_a_spoilt_request_is_an_answer_of_the_contract(
    target: Target, sent: Sent, body: bytes, cuts: list[tuple[int, int, bytes]]
) -> None:
    sent["requests spoilt in up to four places"] += 1
    headers = {b"": [], b"hello": [length(5)], ONE_CHUNK: [CHUNKED]}[body]
    request = target.request(b"Idempotency-Key: " + secrets.token_hex(4).encode(), *headers, body=body)
    for place, removed, inserted in cuts:
        start = place % (len(request) + 1)
        request = request[:start] + inserted + request[start + removed :]
    answered(target, request)
