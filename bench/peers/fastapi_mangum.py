"""FastAPI behind Mangum. https://mangum.fastapiexpert.com/asgi-frameworks/

A view that blocks is a plain `def`. https://fastapi.tiangolo.com/async/
"""

from typing import Any

from fastapi import FastAPI, HTTPException, Request
from mangum import Mangum

from bench.peers import steps

app = FastAPI()


@app.post("/pbx/sipphone/{phone_id}/resetcredentials")
def reset_credentials(phone_id: str, request: Request) -> dict[str, Any]:
    """Resets the phone and answers with it."""
    customer = request.scope["aws.event"]["requestContext"]["authorizer"]["customer"]
    try:
        return steps.reset(phone_id, customer)
    except steps.UnknownPhone:
        raise HTTPException(404, "SIP phone not found") from None


handler = Mangum(app, lifespan="off")
