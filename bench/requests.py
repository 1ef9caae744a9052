"""The requests to AWS for a reset and for a rotation, counted, and what a million of them cost."""

from collections import Counter

from bench import fleet
from bench.contenders import FOUR_STEP, RAW, SERVICE, each_of, resets
from bench.figures import Aim, Section
from bench.fleet import Phones
from bench.processes import Processes, process
from bench.traffic import NONE
from ops import costs

MOST = 4
SHARE = 1 / 3

PROVED = f"{SERVICE}: a grace period that the phone ends"
NOT_PROVED = f"{SERVICE}: a grace period that time ends"

# Write units: an item of the sample phones has between 1 and 2 KB. Only this service needs indexes: a commit moves
# a phone in three of them, a settle in the agenda, and so does the end of a grace period. Out and in are a unit
# each.
ITEM_UNITS = 2
INDEX_UNITS = {SERVICE: 8, RAW: 8, PROVED: 2, NOT_PROVED: 2}
READ_UNITS = 1


def measure(processes: Processes, phones: Phones) -> Section:
    """Counts the requests of each contender, and of both ways in which a grace period ends."""
    sent = {
        name: contender.submit(resets, name, next(phones), NONE).result().requests_each
        for name, contender in processes.items()
    }
    for name, seconds, end in (
        (PROVED, 3600, fleet.grace_ends_by_proof),
        (NOT_PROVED, 1, fleet.grace_ends_in_time),
    ):
        ids = next(phones)
        with process({"ROTATION_GRACE_SECONDS": str(seconds)}) as rotating:
            sent[name] = each_of(rotating.submit(end, ids).result(), len(ids))
    rows = [[name, str(each.total()), f"{price(name, each):.2f} $", _listed(each)] for name, each in sent.items()]
    ours, theirs = sent[SERVICE].total(), sent[FOUR_STEP].total()
    aims = [
        Aim(f"requests for a reset or a rotation: at most {MOST}", str(ours), ours <= MOST),
        Aim(
            "requests for a rotation: at most a third of the four-step function",
            f"{ours}, {theirs}",
            ours <= theirs * SHARE,
        ),
    ]
    return Section("requests", ["", "requests", "a million cost", "which"], rows, {"requests": sent}, aims)


def price(name: str, sent: Counter[str]) -> float:
    """Dollars for a million times the requests ``sent``, at list prices of us-east-1."""
    writes = (sent["PutItem"] + sent["UpdateItem"]) * ITEM_UNITS + INDEX_UNITS.get(name, 0)
    secrets = sum(count for operation, count in sent.items() if "Secret" in operation)
    return costs.MILLION * (
        writes * costs.WRITE_UNIT
        + (sent["GetItem"] + sent["Query"]) * READ_UNITS * costs.READ_UNIT
        + secrets * costs.SECRET_CALL
        + sent["PutEvents"] * costs.EVENT
    )


def _listed(sent: Counter[str]) -> str:
    return ", ".join(f"{count} {operation}" if count > 1 else operation for operation, count in sent.items())
