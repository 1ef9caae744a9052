"""Who may touch which phone.

A level says whether a caller may reset at all; a scope says which phones exist for it. The scope is a
DynamoDB condition, so that it is checked inside the write: there is no moment between check and use.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, assert_never

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path

from chalicelib.errors import AccessDenied


class AccessLevel(StrEnum):
    """The access levels of the platform's users."""

    NO_LOGIN = "NO_LOGIN"
    PERSONAL = "PERSONAL"
    VIEWER = "VIEWER"
    MANAGER = "MANAGER"
    OWNER = "OWNER"
    RESELLER = "RESELLER"
    ADMIN = "ADMIN"
    REGISTRAR = "REGISTRAR"
    """A registrar: it checks credentials and never changes them."""


Tenancy = Literal["customer", "reseller", "pbxCluster"]


@dataclass(frozen=True, slots=True)
class Scope:
    """The phones that exist for a caller: those whose ``tenancy`` property is ``owner``, or all of them."""

    tenancy: Tenancy | None = None
    owner: str | int | None = None

    def condition(self) -> Condition | None:
        """The scope as a condition on the phone's item; None where every phone is in scope."""
        return None if self.tenancy is None else Path(self.tenancy) == self.owner

    def covers(self, owners: Mapping[Tenancy, str | int | None]) -> bool:
        """The scope as a test of an item that was read, by what the item has for each tenancy."""
        return self.tenancy is None or owners[self.tenancy] == self.owner


EVERY_PHONE = Scope()


def tenancy_of(level: AccessLevel) -> Tenancy | None:
    """Which of the phone's owners must be the caller's own; None where any phone will do.

    Raises :class:`AccessDenied` for the levels that may not reset.
    """
    match level:
        case AccessLevel.VIEWER | AccessLevel.MANAGER | AccessLevel.OWNER:
            return "customer"
        case AccessLevel.RESELLER:
            return "reseller"
        case AccessLevel.ADMIN:
            return None
        case AccessLevel.PERSONAL | AccessLevel.NO_LOGIN | AccessLevel.REGISTRAR:
            raise AccessDenied
        case _:
            assert_never(level)


@dataclass(frozen=True, slots=True)
class Caller:
    """Someone who asks: ``name`` is recorded with what they change, ``level`` is as they present it."""

    name: str
    level: str
    customer: str | None = None
    reseller: str | None = None
    pbx_cluster: int | None = None

    @classmethod
    def from_context(cls, context: Mapping[str, str]) -> "Caller":
        """The caller as the authorizer described it to API Gateway."""
        cluster = context.get("pbxCluster")
        return cls(
            name=context["tokenId"],
            level=context["accessLevel"],
            customer=context.get("customer"),
            reseller=context.get("reseller"),
            pbx_cluster=None if cluster is None else int(cluster),
        )

    def context(self) -> dict[str, str]:
        """The caller as the authorizer describes it to API Gateway, which takes texts and no nulls."""
        context = {
            "tokenId": self.name,
            "accessLevel": self.level,
            "customer": self.customer,
            "reseller": self.reseller,
            "pbxCluster": self.pbx_cluster,
        }
        return {name: str(value) for name, value in context.items() if value is not None}

    def scope(self) -> Scope:
        """The phones this caller may reset.

        Raises :class:`AccessDenied` for a level that may not, an unknown one, or one without its owner.
        """
        try:
            tenancy = tenancy_of(AccessLevel(self.level))
        except ValueError:
            raise AccessDenied from None
        if tenancy is None:
            return EVERY_PHONE
        owner = self.customer if tenancy == "customer" else self.reseller
        if not owner:
            raise AccessDenied
        return Scope(tenancy, owner)

    def registrar_scope(self) -> Scope:
        """The phones whose credentials this caller may check: those of its PBX cluster, or all of them.

        Raises :class:`AccessDenied` for every level but REGISTRAR.
        """
        if self.level != AccessLevel.REGISTRAR:
            raise AccessDenied
        return EVERY_PHONE if self.pbx_cluster is None else Scope("pbxCluster", self.pbx_cluster)
