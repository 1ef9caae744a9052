"""What callers are told: headers of the API, outputs of the Lambda functions."""

from typing import Any

from chalicelib.clock import timestamp
from chalicelib.planning import Plan
from chalicelib.registrar import Registration
from chalicelib.resets import Reset
from chalicelib.tending import Sweep


def reset_headers(reset: Reset) -> dict[str, str]:
    """The headers of a reset's answer over HTTP."""
    headers = {
        "Credentials-Id": reset.phone.credentials_id,
        "Credentials-Mirror": _mirror(reset),
    }
    if (until := reset.phone.grace_until) is not None:
        headers["Credentials-Grace-Until"] = until
    if reset.replayed:
        headers["Idempotent-Replayed"] = "true"
    return headers


def reset_output(reset: Reset, *, include_credentials: bool) -> dict[str, Any]:
    """The output of `reset_credentials`. Secret and version are null until the mirror has the pair."""
    phone = reset.phone
    output: dict[str, Any] = {
        "sipPhoneId": phone.id,
        "credentialsId": phone.credentials_id,
        "changedAt": timestamp(phone.credentials_changed_at),
        "graceUntil": phone.grace_until,
        "mirror": _mirror(reset),
        "secretArn": phone.secret_arn if reset.mirrored else None,
        "secretVersionId": phone.secret_version_id if reset.mirrored else None,
        "replayed": reset.replayed,
    }
    if include_credentials:
        output["phone"] = phone.document()
    return output


def registration(registered: Registration) -> dict[str, Any]:
    """The answer to a registrar's report of a registration."""
    phone = registered.phone
    return {"sipPhoneId": phone.id, "credentialsId": phone.credentials_id, "adopted": registered.adopted}


def plan_output(plan: Plan) -> dict[str, Any]:
    """The output of `schedule_rotation`."""
    return {
        "phones": plan.phones,
        "firstDue": plan.first_due and timestamp(plan.first_due),
        "lastDue": plan.last_due and timestamp(plan.last_due),
        "leftOut": {reason.value: count for reason, count in plan.left_out.items()},
        "dryRun": plan.dry_run,
        "complete": plan.complete,
    }


def sweep_output(sweep: Sweep) -> dict[str, Any]:
    """The output of `tend`; durations are in seconds."""
    return {
        "due": sweep.due,
        "rotated": sweep.rotated,
        "completed": sweep.completed,
        "graceEnded": sweep.grace_ended,
        "failed": sweep.failed,
        "left": sweep.left,
        "oldestLatenessSeconds": round(sweep.oldest_lateness.total_seconds()),
        "oldestUnsettledSeconds": round(sweep.oldest_unsettled.total_seconds()),
    }


def _mirror(reset: Reset) -> str:
    return "current" if reset.mirrored else "pending"
