"""What each registrar is told of a digest, in its own form."""

from datetime import timedelta
from html import escape
from typing import Any
from urllib.parse import quote

from chalicelib.clock import timestamp
from chalicelib.credentials import Algorithm
from chalicelib.phones import SipPhones
from chalicelib.registrar import Digest

FREESWITCH_NOT_FOUND = (
    '<document type="freeswitch/xml"><section name="result"><result status="not found"/></section></document>'
)
"""https://developer.signalwire.com/freeswitch/FreeSWITCH-Explained/Modules/mod_xml_curl_1049001/"""


def document(digest: Digest) -> dict[str, Any]:
    """A digest as JSON; properties without a value are left out."""
    phone = digest.phone.document()
    properties = {
        "username": digest.username,
        "realm": digest.realm,
        "domain": digest.domain,
        "ha1": digest.ha1,
        "ha1b": digest.ha1b,
        "credentialsId": digest.credentials_id,
        "sipPhoneId": digest.phone.id,
        "extension": phone.get("extension"),
        "customer": phone.get("customer"),
        "ip": phone.get("ip"),
        "adopted": digest.adopted,
        "validUntil": None if digest.valid_until is None else timestamp(digest.valid_until),
    }
    return {name: value for name, value in properties.items() if value is not None}


def freeswitch(digest: Digest, *, domain: str, max_age: timedelta) -> str:
    """A directory entry for mod_xml_curl. FreeSWITCH keeps it for ``max_age``; its ``a1-hash`` is MD5 only.

    ``domain`` is the one that was asked for, and the realm that FreeSWITCH challenges with.
    """
    cacheable = f' cacheable="{max_age // timedelta(milliseconds=1)}"' if max_age else ""
    variables = "".join(
        f'<variable name="{name}" value="{escape(value)}"/>' for name, value in _variables(digest.phone).items()
    )
    return (
        '<document type="freeswitch/xml"><section name="directory">'
        f'<domain name="{escape(domain)}"><user id="{escape(digest.username)}"{cacheable}>'
        f'<params><param name="a1-hash" value="{digest.ha1[Algorithm.MD5]}"/></params>'
        f"<variables>{variables}</variables>"
        "</user></domain></section></document>"
    )


def _variables(phone: SipPhones) -> dict[str, str]:
    variables = {"sip_phone_id": phone.id, "extension": phone.extension, "customer": phone.customer}
    return {name: value for name, value in variables.items() if value is not None}


def asterisk(digest: Digest, *, family: str) -> str:
    """A line for res_config_curl: the columns of one authentication object, URI-encoded.

    ``ps_auths`` has ``md5_cred``, which every version knows; ``ps_auths_digest`` has ``password_digest``, for
    Asterisk 20.12, 21.7, 22.2 and later.
    """
    if family == "ps_auths":
        secret = {"auth_type": "md5", "md5_cred": digest.ha1[Algorithm.MD5]}
    else:
        hashes = ",".join(f"{algorithm}:{ha1}" for algorithm, ha1 in digest.ha1.items())
        secret = {"auth_type": "digest", "password_digest": hashes}
    columns = {"id": digest.username, "username": digest.username, "realm": digest.realm, **secret}
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in columns.items()) + "\n"


ASTERISK_FAMILIES = frozenset({"ps_auths", "ps_auths_digest"})
