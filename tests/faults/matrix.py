"""The fault matrix as tables: the AWS calls of every entry point, the faults, and what the caller sees."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from rich.table import Table

from tests.faults import registrar_scenes, scenes
from tests.faults.scenes import Scene
from tests.faults.spoilt_aws import Estate, Rule
from tests.support.fleet import new_owner

THROTTLED = {"code": "ThrottlingException", "status": 400}
DENIED = {"code": "AccessDeniedException", "status": 400}
FAULTS: dict[str, Rule] = {
    "throttled once": {"error": THROTTLED, "times": 1},
    "throttled": {"error": THROTTLED},
    "500": {"error": {"code": "InternalServerError", "status": 500}},
    "503": {"error": {"code": "ServiceUnavailable", "status": 503}},
    "denied": {"error": DENIED},
    "reset before": {"reset": True},
    "answer lost once": {"response": {"abort_bytes": 0}, "times": 1},
    "answer lost": {"response": {"abort_bytes": 0}},
    "time-out": {"timeout_ms": 30_000},
    "2 s latency": {"latency": 2_000},
    "truncated": {"response": {"truncate_frac": 0.5}},
}

UPDATE: Rule = {"service": "dynamodb", "operation": "UpdateItem"}
COMMIT: Rule = {**UPDATE, "body": "contains(UpdateExpression, 'ADD')"}
SETTLE: Rule = {**UPDATE, "body": "contains(UpdateExpression, 'DELETE')"}
REWRITE: Rule = {
    **UPDATE, "body": "!contains(UpdateExpression, 'ADD') && !contains(UpdateExpression, 'DELETE')",
}  # fmt: skip
ADD: Rule = {"service": "dynamodb", "operation": "PutItem"}
QUERY: Rule = {"service": "dynamodb", "operation": "Query"}
QUERY_IN_FORCE: Rule = {**QUERY, "body": "IndexName == 'by-username'"}
QUERY_PREVIOUS: Rule = {**QUERY, "body": "IndexName == 'by-previous-username'"}
READ_PHONE: Rule = {"service": "dynamodb", "operation": "GetItem", "resource": "SipPhones"}
READ_TOKEN: Rule = {"service": "dynamodb", "operation": "GetItem", "resource": "ApiTokens"}
CREATE: Rule = {"service": "secretsmanager", "operation": "CreateSecret"}
RESTORE: Rule = {"service": "secretsmanager", "operation": "RestoreSecret"}
PUT: Rule = {"service": "secretsmanager", "operation": "PutSecretValue", "body": "!VersionStages"}
FENCE: Rule = {"service": "secretsmanager", "operation": "PutSecretValue", "body": "VersionStages"}
ANNOUNCE: Rule = {"service": "events", "operation": "PutEvents"}


@dataclass(frozen=True)
class Call:
    """One AWS call of an entry point, and what the entry point's caller sees."""

    entry: str
    name: str
    spoilt: Rule
    arrange: Callable[[Estate], Scene]
    well: str
    """Where an attempt of the call succeeds."""
    outage: str
    denied: str
    lost_once: str = ""
    """Where the second attempt finds what the first one did, and that is not the same as doing it."""
    besides: tuple[Rule, ...] = ()
    """What else must be wrong for the call to be made."""

    def sees(self, fault: str) -> set[str]:
        """What the caller may see of ``fault``."""
        if fault == "denied":
            return {self.denied}
        if fault == "throttled once":
            return {self.well}
        if fault == "answer lost once":
            return {self.lost_once or self.well}
        if fault == "2 s latency":  # for DynamoDB that is the time-out: any attempt's answer may come or be lost
            late = {self.well, self.outage, self.lost_once or self.well}
            return late if self.spoilt["service"] == "dynamodb" else {self.well}
        return {self.outage}


def publication(
    entry: str, arrange: Callable[[Estate], Scene], well: str, failing: str, overtaken: str
) -> list[Call]:
    """The three calls that every change of a phone ends with. ``overtaken`` is seen when someone else settled it."""
    return [
        Call(entry, "put secret", PUT, arrange, well, failing, failing),
        Call(entry, "put event", ANNOUNCE, arrange, well, failing, failing),
        Call(entry, "settle", SETTLE, arrange, well, failing, failing, lost_once=overtaken),
    ]


CURRENT, PENDING, REPLAYED = "200 current", "200 pending", "200 current, replayed"
FOUND, ADOPTED = "200", "200 adopted"
REFUSED, UNKNOWN, BROKEN, DOWN = "401", "404", "500", "503"
for_good = partial(scenes.reset_without_secret, ForceDeleteWithoutRecovery=True)
for_a_week = partial(scenes.reset_without_secret, RecoveryWindowInDays=7)
new_customer = partial(scenes.revision, customer=new_owner())
new_note = partial(scenes.revision, notes="moved to the lobby")
two_abandoned = partial(scenes.abandoned_publication, resets=2)
CALLS = [
    Call("reset", "commit", COMMIT, scenes.reset, CURRENT, DOWN, BROKEN),
    *publication("reset", scenes.reset, CURRENT, PENDING, PENDING),
    Call("reset", "make room for keys", REWRITE, scenes.reset_without_memory, CURRENT, DOWN, BROKEN),
    Call("reset", "create secret", CREATE, for_good, CURRENT, PENDING, PENDING),
    Call("reset", "restore secret", RESTORE, for_a_week, CURRENT, PENDING, PENDING),
    Call("replay", "commit", COMMIT, scenes.replay, REPLAYED, DOWN, BROKEN),
    Call("replay", "read", READ_PHONE, scenes.replay, REPLAYED, DOWN, BROKEN),
    Call("foreign phone", "commit", COMMIT, scenes.foreign_reset, UNKNOWN, DOWN, BROKEN),
    Call("foreign phone", "read", READ_PHONE, scenes.foreign_reset, UNKNOWN, DOWN, BROKEN),
    Call("authorizer", "read", READ_TOKEN, scenes.authorization, CURRENT, DOWN, DOWN),
    Call("authorizer", "read revoked", READ_TOKEN, partial(scenes.authorization, revoked=True), REFUSED, DOWN, DOWN),
    Call("import", "add", ADD, scenes.addition, "added", "failed", "refused"),
    Call("import", "create secret", CREATE, scenes.addition, "added", "added, pending", "added, pending"),
    *publication("import", scenes.addition, "added", "added, pending", "added, pending")[1:],
    Call("import again", "add", ADD, new_customer, "changed", "failed", "refused"),
    Call("import again", "read", READ_PHONE, new_customer, "changed", "failed", "refused"),
    Call("import again", "revise", COMMIT, new_customer, "changed", "failed", "refused"),
    *publication("import again", new_customer, "changed", "changed, pending", "changed, pending"),
    Call("import again", "settle a note", SETTLE, new_note, "changed", "changed, pending", "changed, pending",
         lost_once="changed, pending"),
    Call("tend", "read agenda", QUERY, scenes.abandoned_publication, "completed", "Unavailable", "InternalError"),
    Call("tend", "reschedule", REWRITE, scenes.groundless_date, "nothing", "failed", "failed"),
    Call("rotation", "commit", COMMIT, scenes.rotation, "rotated", "failed", "failed"),
    *publication("rotation", scenes.rotation, "rotated", "rotated", "rotated"),
    Call("completion", "commit", COMMIT, scenes.abandoned_publication, "completed", "failed", "failed"),
    Call("completion", "read", READ_PHONE, scenes.abandoned_publication, "completed", "failed", "failed"),
    *publication("completion", scenes.abandoned_publication, "completed", "failed", "nothing"),
    Call("completion", "postpone", REWRITE, scenes.abandoned_publication, "failed", "failed", "failed",
         besides=({**PUT, "error": DENIED},)),
    Call("lookup", "query", QUERY_IN_FORCE, registrar_scenes.lookup, FOUND, DOWN, BROKEN),
    Call("lookup", "read", READ_PHONE, registrar_scenes.lookup, FOUND, DOWN, BROKEN),
    Call("lookup in grace", "query", QUERY_IN_FORCE, registrar_scenes.lookup_in_grace, FOUND, DOWN, BROKEN),
    Call("lookup in grace", "query again", QUERY_PREVIOUS, registrar_scenes.lookup_in_grace, FOUND, DOWN, BROKEN),
    Call("lookup in grace", "read", READ_PHONE, registrar_scenes.lookup_in_grace, FOUND, DOWN, BROKEN),
    Call("adoption", "query", QUERY_IN_FORCE, registrar_scenes.report, ADOPTED, DOWN, BROKEN),
    Call("adoption", "read", READ_PHONE, registrar_scenes.report, ADOPTED, DOWN, BROKEN),
    Call("adoption", "put event", ANNOUNCE, registrar_scenes.report, ADOPTED, DOWN, DOWN),
    Call("adoption", "drop old pair", REWRITE, registrar_scenes.report, ADOPTED, DOWN, BROKEN),
    Call("end of grace", "put event", ANNOUNCE, registrar_scenes.end_of_grace, "graceEnded", "failed", "failed"),
    Call("end of grace", "drop old pair", REWRITE, registrar_scenes.end_of_grace, "graceEnded", "failed", "failed",
         lost_once="nothing"),
    Call("take-over", "fence", FENCE, two_abandoned, "completed", "failed", "failed"),
    Call("take-over", "take over", REWRITE, two_abandoned, "completed", "failed", "failed", lost_once="nothing"),
    *publication("take-over", two_abandoned, "completed", "failed", "nothing"),
]  # fmt: skip
CLAIM_A_COPY = {CURRENT, REPLAYED, "added", "changed", "completed"}


@dataclass
class Cell:
    """What was seen in one cell."""

    entry: str
    call: str
    fault: str
    seen: str = ""
    seconds: float = 0
    green: bool = False


def as_table(cells: Mapping[tuple[str, str, str], Cell]) -> Table:
    """The matrix with what was seen in those of its cells that were run."""
    table = Table("entry point", "call", *FAULTS, "slowest, s", title="What the caller sees")
    for call in CALLS:
        row = [cells.get((call.entry, call.name, fault)) for fault in FAULTS]
        seen = [
            f"[{'green' if cell.green else 'bold red'}]{cell.seen or 'a lie'}" if cell else "not run"
            for cell in row
        ]
        slowest = max((cell.seconds for cell in row if cell), default=0)
        table.add_row(call.entry, call.name, *seen, f"{slowest:.1f}")
    return table
