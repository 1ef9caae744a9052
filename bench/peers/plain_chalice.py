"""A plain Chalice application. https://aws.github.io/chalice/quickstart.html"""

from typing import Any

from chalice.app import Chalice, NotFoundError

from bench.peers import steps

app = Chalice(app_name="plain")


@app.route("/pbx/sipphone/{sipPhoneId}/resetcredentials", methods=["POST"])
def reset_credentials(sipPhoneId: str) -> dict[str, Any]:  # noqa: N803 - the path's name for it
    """Resets the phone and answers with it."""
    request: Any = app.current_request
    customer = request.context["authorizer"]["customer"]
    try:
        return steps.reset(sipPhoneId, customer)
    except steps.UnknownPhone:
        raise NotFoundError("SIP phone not found") from None
