"""The digests of a pair, against the examples of the RFCs."""

import hashlib

import pytest

from chalicelib.credentials import Algorithm, Credentials

HTTP_AUTH = {"username": "Mufasa", "password": "Circle of Life"}
REALM = "http-auth@example.org"


def answer(ha1: str, algorithm: Algorithm, *, nonce: str, cnonce: str, uri: str) -> str:
    """The ``response`` of a client that knows HA1: RFC 7616, section 3.4.1, for qop=auth and a GET."""
    ha2 = algorithm.digest(f"GET:{uri}")
    return algorithm.digest(f"{ha1}:{nonce}:00000001:{cnonce}:auth:{ha2}")


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        (Algorithm.MD5, "8ca523f5e9506fed4657c9700eebdbec"),
        (Algorithm.SHA_256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_ha1_gives_the_responses_of_rfc_7616_section_3_9_1(algorithm: Algorithm, response: str) -> None:
    ha1 = Credentials(**HTTP_AUTH).ha1(algorithm, realm=REALM)
    assert (
        answer(
            ha1,
            algorithm,
            nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
            cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
            uri="/dir/index.html",
        )
        == response
    )


def test_ha1_gives_the_response_of_rfc_7616_section_3_9_2_with_the_true_hash() -> None:
    # The RFC's own figures were made with SHA-512 cut to 256 bits; erratum 4897 has those of SHA-512/256.
    pair = Credentials(username="J\u00e4s\u00f8n Doe", password="Secret, or not?")
    ha1 = pair.ha1(Algorithm.SHA_512_256, realm="api@example.org")
    response = answer(
        ha1,
        Algorithm.SHA_512_256,
        nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
        cnonce="NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
        uri="/doe.json",
    )
    assert response == "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"


@pytest.mark.parametrize(
    ("algorithm", "digits"), [(Algorithm.MD5, 32), (Algorithm.SHA_256, 64), (Algorithm.SHA_512_256, 64)]
)
def test_ha1b_is_ha1_of_the_username_with_its_domain(algorithm: Algorithm, digits: int) -> None:
    ha1b = Credentials("alice", "pw").ha1b(algorithm, domain="sip.example.org", realm="r")
    assert ha1b == Credentials("alice@sip.example.org", "pw").ha1(algorithm, realm="r")
    assert len(ha1b) == digits


def test_md5_is_that_of_rfc_3261() -> None:
    expected = hashlib.md5(b"alice:atlanta.com:zanzibar", usedforsecurity=False).hexdigest()
    assert Credentials("alice", "zanzibar").ha1(Algorithm.MD5, realm="atlanta.com") == expected
