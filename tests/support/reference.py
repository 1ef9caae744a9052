"""What must be true of phones and of answers, told without any of the service's own code.

A phone is what was seen of it, moment by moment: the pairs that were in force, with the call that put each there, and
its owners. An answer is right when some moment between the call's start and its end makes it so.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from tests.support.callers import Heard

Kind = Literal["reset", "plan", "import", "sweep", "revoke", "registered"]

KEYS_LIVE = timedelta(hours=24)
KEYS_KEPT = 20
EARLIEST, LATEST = 0.9, 1.1
"""When in its period a phone is rotated: not all of a fleet at once."""


@dataclass(frozen=True)
class Owner:
    """Whom a phone belongs to, or a caller speaks for."""

    customer: str | None = None
    reseller: str | None = None


@dataclass(frozen=True)
class Identity:
    """Who calls."""

    level: Literal["OWNER", "RESELLER", "ADMIN"]
    owner: Owner = Owner()

    def reaches(self, phone: Owner | None) -> bool:
        """Whether a phone of that owner (None: no phone at all) exists for this caller."""
        if phone is None:
            return False
        if self.level == "OWNER":
            return phone.customer == self.owner.customer
        return self.level == "ADMIN" or phone.reseller == self.owner.reseller


@dataclass(eq=False)
class Token:
    """An API token, and since when nobody may, and nobody can, get in with it."""

    text: str
    identity: Identity
    expires_at: datetime
    revoking_since: int | None = None
    revoked_since: int | None = None


@dataclass(eq=False)
class Call:
    """Something that was asked of the service. ``began`` is a moment, ``began_at`` the time."""

    kind: Kind
    began: int
    began_at: datetime
    phone_id: str = ""
    identity: Identity = Identity("ADMIN")
    key: str | None = None
    token: Token | None = None
    grace: timedelta = timedelta(0)
    """How long a pair that it replaces stays valid."""
    username: str = ""
    """What a phone is said to have registered with."""
    disturbed: bool = False
    """AWS failed it at least once."""


@dataclass(frozen=True)
class Old:
    """The pair of a phone that is valid, until then, beside the one in force."""

    pair_id: str
    pair: tuple[str, str]
    until: datetime


@dataclass(frozen=True)
class Seen:
    """A phone at one moment."""

    pair_id: str
    pair: tuple[str, str]
    changed_at: datetime
    old: Old | None
    adopted: bool
    announced: frozenset[str]
    """What was announced of the pair in force."""
    owner: Owner
    planned: datetime | None
    tend_at: datetime | None
    rotation_days: int | None
    settled: bool


@dataclass(frozen=True)
class InForce:
    """A pair of a phone: since when, and for which call."""

    pair_id: str
    pair: tuple[str, str]
    since: int
    by: Call


@dataclass
class Phone:
    """What was seen of a phone."""

    pairs: list[InForce] = field(default_factory=list)
    owners: list[tuple[int, Owner | None]] = field(default_factory=lambda: [(0, None)])
    last: Seen | None = None

    def owners_since(self, moment: int) -> Iterator[Owner | None]:
        """The owners it has had from that moment on; None for the time when there was no such phone."""
        for place, (_, owner) in enumerate(self.owners):
            if place + 1 == len(self.owners) or self.owners[place + 1][0] > moment:
                yield owner

    def ended(self, pair: InForce) -> int | None:
        """The moment that another pair took the place of that one."""
        place = self.pairs.index(pair) + 1
        return None if place == len(self.pairs) else self.pairs[place].since

    def made_for(self, call: Call) -> list[InForce]:
        """The pairs of that very call, or of its key."""
        same_key = [known for known in self.pairs if known.by.kind == "reset" and known.by.key == call.key]
        return [known for known in self.pairs if known.by is call or (call.key and known in same_key)]


class Reference:
    """The phones, and what was seen of them up to this moment."""

    def __init__(self, phone_ids: list[str]) -> None:
        self.moment = 0
        self.phones = {phone_id: Phone() for phone_id in phone_ids}

    def see(self, phone_id: str, seen: Seen, *, by: Call, at: datetime) -> None:
        """Notes how a phone is at this moment, and that ``by`` was one to change it so."""
        phone = self.phones[phone_id]
        last, phone.last = phone.last, seen
        if last is None or seen.owner != last.owner:
            assert by.kind == "import", "an owner changes by import only"
            phone.owners.append((self.moment, seen.owner))
        if last is None or seen.pair_id != last.pair_id:
            self._see_new_pair(phone_id, last, seen, by, at)
            phone.pairs.append(InForce(seen.pair_id, seen.pair, self.moment, by))
        else:
            self._see_same_pair(last, seen, by, at)
        assert not seen.settled or "Reset" in seen.announced, "settled, and never announced"
        self._check_date(seen)

    @staticmethod
    def _check_date(seen: Seen) -> None:
        """That the phone comes up when there is something to do for it."""
        if not seen.settled or seen.old:
            assert seen.tend_at, "nobody would ever complete it, or end its grace period"
        elif seen.planned and seen.rotation_days != 0:
            assert seen.tend_at == seen.planned, "it would not be rotated as planned"
        elif seen.rotation_days:
            assert seen.tend_at, "nobody would ever rotate it"
            periods = (seen.tend_at - seen.changed_at) / timedelta(days=seen.rotation_days)
            assert EARLIEST <= periods <= LATEST, "it would be rotated early or late"

    @staticmethod
    def _see_same_pair(last: Seen, seen: Seen, by: Call, at: datetime) -> None:
        assert (seen.pair, seen.changed_at) == (last.pair, last.changed_at), "a pair changed in part"
        if seen.planned != last.planned:
            assert by.kind == "plan" or (by.kind == "sweep" and last.rotation_days == 0), "a plan got lost"
        if seen.adopted != last.adopted:
            assert (by.kind, by.username) == ("registered", seen.pair[0]), "adopted without a proof"
            assert seen.old is None, "proved, and the old pair lives on"
            assert "Adopted" in seen.announced, "adopted, and nobody was told"
        elif seen.old != last.old:
            assert last.old is not None, "a grace period began without a reset"
            assert last.old.until <= at, "a grace period ended before its time"
            assert (by.kind, seen.old) == ("sweep", None), "a grace period changed"
            assert "Grace Ended" in seen.announced, "a grace period ended, and nobody was told"

    def _see_new_pair(self, phone_id: str, last: Seen | None, seen: Seen, by: Call, at: datetime) -> None:
        phone = self.phones[phone_id]
        assert seen.pair_id not in [known.pair_id for known in phone.pairs], "a replaced pair is back in force"
        assert seen.pair not in [known.pair for known in phone.pairs], "a pair has two ids"
        assert by.began_at <= seen.changed_at <= at
        assert seen.old == self._kept(last, seen.changed_at, by.grace), "the wrong pair stays valid"
        assert not seen.adopted, "a pair was proved before it was there"
        match by.kind:
            case "import":
                assert last is None, "an import is never a reset"
            case "sweep":
                assert last is not None
                assert last.settled, "a phone was rotated with somebody at work on it"
                assert last.tend_at is not None
                assert last.tend_at <= at, "a phone was rotated before its date"
                assert last.rotation_days != 0, "a phone was rotated that never is to be"
                assert last.old is None, "a phone was rotated before it had proved the last rotation"
            case "reset":
                assert last is not None
                assert by.phone_id == phone_id
                assert by.identity.reaches(last.owner), "a phone out of scope was reset"
                for known in phone.made_for(by):
                    old = at - known.by.began_at >= KEYS_LIVE
                    assert old or len(phone.pairs) - phone.pairs.index(known) > KEYS_KEPT, (
                        "a request made two pairs"
                    )
            case _:
                raise AssertionError(f"a {by.kind} made a pair")

    @staticmethod
    def _kept(last: Seen | None, now: datetime, grace: timedelta) -> Old | None:
        """The pair that stays valid for that time, to the second: the last one that the phone is known to use."""
        if last is None or not grace:
            return None
        until = (now + grace).replace(microsecond=0)
        if last.old is not None and now < last.old.until:
            return replace(last.old, until=until)
        return Old(last.pair_id, last.pair, until)

    def valid(self, phone_id: str, *, at: datetime) -> dict[str, datetime | None]:
        """The pairs that a registrar must accept at that time, and until when, where that is known."""
        now = self.phones[phone_id].last
        if now is None:
            return {}
        old = now.old and at < now.old.until and {now.old.pair_id: now.old.until}
        return {now.pair_id: None} | (old or {})

    def check_registered(self, call: Call, adopted: bool | None, *, at: datetime) -> None:
        """That a registration is taken for what it is now: a proof, one with an old pair, or (None) with no valid one."""
        (pair_id,) = (
            known.pair_id for known in self.phones[call.phone_id].pairs if known.pair[0] == call.username
        )
        now = self.phones[call.phone_id].last
        assert now is not None
        if adopted:
            assert (pair_id, True) == (now.pair_id, now.adopted)
        else:
            assert pair_id != now.pair_id
            assert (adopted is not None) == (pair_id in self.valid(call.phone_id, at=at))

    def check(self, call: Call, heard: Heard, *, at: datetime) -> None:
        """That what a reset was answered, at the time ``at``, is right for some moment of the call."""
        phone = self.phones[call.phone_id]
        reached = [call.identity.reaches(owner) for owner in phone.owners_since(call.began)]
        match heard.name:
            case "ok":
                assert any(reached)
                self._check_pair(phone, call, heard)
            case "superseded":
                assert any(phone.ended(known) is not None for known in phone.made_for(call))
            case "not_found":
                assert not all(reached)
            case "unauthorized":
                token = call.token
                assert token is not None
                assert token.revoking_since is not None or token.expires_at <= at
            case "unavailable":
                assert call.disturbed
            case _:
                raise AssertionError(f"{heard.name} is no answer to a reset")
        if call.token is not None and heard.name != "unauthorized":
            revoked = call.token.revoked_since
            assert heard.name == "unavailable" or revoked is None or revoked > call.began, "a revoked token works"
            assert heard.name == "unavailable" or call.token.expires_at > call.began_at, "an expired token works"

    @staticmethod
    def _check_pair(phone: Phone, call: Call, heard: Heard) -> None:
        (pair,) = (known for known in phone.pairs if known.pair_id == heard.pair_id)
        assert pair.pair == heard.pair
        assert pair in phone.made_for(call), "the pair of another request"
        assert heard.replayed == (pair.by is not call)
        ended = phone.ended(pair)
        assert ended is None or ended > call.began, "the pair was dead before it was asked for"
