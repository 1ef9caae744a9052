"""The mirror: a copy of every phone's pair in AWS Secrets Manager."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.clock import timestamp
from chalicelib.credentials import Credentials

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_secretsmanager.type_defs import CreateSecretRequestTypeDef

SERVICE = "sip-credentials"
_STEPS = 4


class MirrorUnavailable(Exception):
    """The copy could not be written. ``str(error)`` is the AWS error code or the SDK's exception."""


@dataclass(frozen=True, slots=True)
class Copy:
    """What a version of a phone's secret holds."""

    phone_id: str
    customer: str | None
    credentials: Credentials
    credentials_id: str
    changed_at: datetime

    def text(self) -> str:
        """The secret's value: a JSON object, the same text for the same copy."""
        return json.dumps({
            "username": self.credentials.username,
            "password": self.credentials.password,
            "sipPhoneId": self.phone_id,
            "customer": self.customer,
            "credentialsId": self.credentials_id,
            "changedAt": timestamp(self.changed_at),
        })  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mirror:
    """One secret a phone, named ``<prefix><phone id>``."""

    client: "SecretsManagerClient" = field(repr=False)
    prefix: str
    kms_key: str | None = None

    def secret_name(self, phone_id: str) -> str:
        """The name of the phone's secret."""
        return f"{self.prefix}{phone_id}"

    def put(self, copy: Copy, *, token: str, is_new: bool = False) -> str:
        """Makes ``copy`` the current version of the phone's secret and answers with the secret's ARN.

        The version's id is ``token``. Repeating a token with the same copy changes nothing, not even which
        version is current. The secret is created on first use, and restored when it was marked for deletion.
        ``is_new`` says that there is most likely no secret yet, which saves a call.

        Raises :class:`MirrorUnavailable`.
        https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html
        """
        write = self._create if is_new else self._put_value
        # A refusal says what to do instead. Others may be doing the same to the same secret, so the next step
        # can be refused as well, but not for long.
        for _ in range(_STEPS):
            try:
                return write(copy, token)
            except self.client.exceptions.ResourceNotFoundException:
                write = self._create
            except self.client.exceptions.ResourceExistsException as refusal:
                if write == self._put_value:  # the token has another value: never ours to overwrite
                    raise _unavailable(refusal) from refusal
                write = self._put_value
            except self.client.exceptions.InvalidRequestException:
                write = self._restore_and_put_value  # marked for deletion
            except (ClientError, BotoCoreError) as failure:
                raise _unavailable(failure) from failure
        raise MirrorUnavailable("Contention")

    def _put_value(self, copy: Copy, token: str) -> str:
        return self.client.put_secret_value(
            SecretId=self.secret_name(copy.phone_id), SecretString=copy.text(), ClientRequestToken=token
        )["ARN"]

    def _create(self, copy: Copy, token: str) -> str:
        tags = {"service": SERVICE} | ({"customer": copy.customer} if copy.customer else {})
        secret: CreateSecretRequestTypeDef = {
            "Name": self.secret_name(copy.phone_id),
            "Description": "SIP credentials of an office phone",
            "SecretString": copy.text(),
            "ClientRequestToken": token,
            "Tags": [{"Key": name, "Value": value} for name, value in tags.items()],
        }
        if self.kms_key:
            secret["KmsKeyId"] = self.kms_key
        return self.client.create_secret(**secret)["ARN"]

    def _restore_and_put_value(self, copy: Copy, token: str) -> str:
        self.client.restore_secret(SecretId=self.secret_name(copy.phone_id))
        return self._put_value(copy, token)


def _unavailable(failure: ClientError | BotoCoreError) -> MirrorUnavailable:
    if isinstance(failure, ClientError):
        return MirrorUnavailable(failure.response["Error"]["Code"])
    return MirrorUnavailable(type(failure).__name__)
