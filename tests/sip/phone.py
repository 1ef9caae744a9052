"""A SIP phone, as much of one as a registrar sees: it registers over UDP and answers a NOTIFY.

Rules: RFC 3261 (REGISTER, retransmission), RFC 7616 and RFC 8760 (digest with MD5 and SHA-256, qop=auth).
"""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self, cast
from urllib.request import parse_http_list, parse_keqv_list

from chalicelib.credentials import Credentials

Address = tuple[str, int]

TIMED_OUT = 408
"""The status of a request that was never answered (RFC 3261, 8.1.3.1)."""
UNAUTHORIZED = 401
UNAVAILABLE = 503
EXPIRES = 60
T1, T2, TIMER_F = 0.5, 4.0, 32.0
"""Seconds to the first retransmission, the most between two, and until the phone gives up (RFC 3261, 17.1.2.2)."""

_HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}


@dataclass(frozen=True, slots=True)
class Message:
    """A SIP message without its body. Header names are in lower case."""

    start: str
    headers: dict[str, str]

    @classmethod
    def parse(cls, data: bytes) -> Self:
        start, *lines = data.decode().partition("\r\n\r\n")[0].split("\r\n")
        fields = (line.partition(":") for line in lines)
        return cls(start, {name.strip().lower(): value.strip() for name, _, value in fields})

    @property
    def status(self) -> int:
        return int(self.start.split()[1])


@dataclass(frozen=True, slots=True)
class Registration:
    """How a registrar answered a phone that logged in with ``username``, and when it was asked and answered."""

    username: str
    status: int
    sent: datetime
    answered: datetime


@dataclass(slots=True)
class Challenge:
    """What a registrar wants to see proved, and how often that has been done."""

    realm: str
    nonce: str
    algorithm: str
    proofs: int = 0

    @classmethod
    def of(cls, header: str) -> Self:
        """Reads ``WWW-Authenticate``."""
        fields = parse_keqv_list(parse_http_list(header.partition(" ")[2]))
        assert "auth" in fields["qop"].split(",")
        return cls(fields["realm"], fields["nonce"], fields.get("algorithm", "MD5"))

    def proof(self, method: str, uri: str, pair: Credentials) -> str:
        """The value of ``Authorization`` (RFC 7616, 3.4)."""

        def digest(text: str) -> str:
            return _HASHES[self.algorithm](text.encode()).hexdigest()

        self.proofs += 1
        count, cnonce = f"{self.proofs:08x}", secrets.token_hex(8)
        ha1 = digest(f"{pair.username}:{self.realm}:{pair.password}")
        response = digest(f"{ha1}:{self.nonce}:{count}:{cnonce}:auth:{digest(f'{method}:{uri}')}")
        return (
            f'Digest username="{pair.username}", realm="{self.realm}", nonce="{self.nonce}", uri="{uri}", '
            f'response="{response}", algorithm={self.algorithm}, qop=auth, nc={count}, cnonce="{cnonce}"'
        )


class Phone(asyncio.DatagramProtocol):
    """One phone on a socket of its own. Its configuration, that is its pair, is whoever's uses it."""

    def __init__(self, domain: str, on_notify: Callable[[str], None]) -> None:
        self.domain = domain
        self.challenge: Challenge | None = None
        self._on_notify = on_notify
        self._call_id = secrets.token_hex(16)
        self._tag = secrets.token_hex(4)
        self._sequence = 0
        self._answers: dict[str, asyncio.Future[Message]] = {}
        self._transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # asyncio's own is no subclass in 3.11

    def error_received(self, exc: Exception) -> None:
        """The registrar is not there at the moment: the request is retransmitted."""

    def datagram_received(self, data: bytes, _sender: Address) -> None:
        message = Message.parse(data)
        if message.start.startswith("SIP/2.0"):
            answer = self._answers.get(message.headers["cseq"])
            if answer and not answer.done() and message.status >= 200:
                answer.set_result(message)
        else:
            self._transport.sendto(self._acceptance(message))
            self._on_notify(message.headers.get("event", ""))

    def _acceptance(self, request: Message) -> bytes:
        """200, with what RFC 3261, 8.2.6.2 has copied into an answer."""
        copied = {name: request.headers[name] for name in ("via", "from", "to", "call-id", "cseq")}
        if ";tag=" not in copied["to"]:
            copied["to"] += f";tag={self._tag}"
        return _text("SIP/2.0 200 OK", copied)

    async def register(self, pair: Credentials, *, user: str | None = None) -> Registration:
        """Registers with ``pair``: with the last challenge if there was one, again when there is another.

        ``user`` is whose registration that is, if not the one's who logs in.
        """
        answer = await self.ask(pair, user=user)
        return await self.ask(pair, user=user) if answer.status == UNAUTHORIZED else answer

    async def ask(self, pair: Credentials, *, user: str | None = None) -> Registration:
        """Sends one REGISTER, which meets the last challenge if there was one, and takes note of another one."""
        self._sequence += 1
        host, port = self._transport.get_extra_info("sockname")
        address = f"<sip:{user or pair.username}@{self.domain}>"
        uri, sequence = f"sip:{self.domain}", f"{self._sequence} REGISTER"
        headers = {
            "Via": f"SIP/2.0/UDP {host}:{port};rport;branch=z9hG4bK{secrets.token_hex(8)}",
            "Max-Forwards": "70",
            "From": f"{address};tag={self._tag}",
            "To": address,
            "Call-ID": self._call_id,
            "CSeq": sequence,
            "Contact": f"<sip:{pair.username}@{host}:{port}>",
            "Expires": str(EXPIRES),
        }
        if self.challenge is not None:
            headers["Authorization"] = self.challenge.proof("REGISTER", uri, pair)
        sent = datetime.now(UTC)
        answer = await self._answer(sequence, _text(f"REGISTER {uri} SIP/2.0", headers))
        if answer is not None and answer.status == UNAUTHORIZED:
            self.challenge = Challenge.of(answer.headers["www-authenticate"])
        status = TIMED_OUT if answer is None else answer.status
        return Registration(pair.username, status, sent, datetime.now(UTC))

    async def _answer(self, sequence: str, request: bytes) -> Message | None:
        answered: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._answers[sequence] = answered
        pause = T1
        try:
            async with asyncio.timeout(TIMER_F):
                while not answered.done():
                    self._transport.sendto(request)
                    await asyncio.wait([answered], timeout=pause)
                    pause = min(2 * pause, T2)
        except TimeoutError:
            return None
        finally:
            del self._answers[sequence]
        return answered.result()


@asynccontextmanager
async def plugged_in(
    registrar: Address, domain: str, on_notify: Callable[[str], None] = lambda _: None
) -> AsyncIterator[Phone]:
    """A phone that knows where its ``registrar`` is; ``on_notify`` gets the event of each NOTIFY."""
    transport, phone = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Phone(domain, on_notify), remote_addr=registrar
    )
    try:
        yield phone
    finally:
        transport.close()


def _text(start: str, headers: dict[str, str]) -> bytes:
    lines = [start, *(f"{name}: {value}" for name, value in headers.items()), "Content-Length: 0"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
