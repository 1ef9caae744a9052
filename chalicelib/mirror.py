"""The mirror: a copy of every phone's pair in AWS Secrets Manager."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.aws import CallFailed
from chalicelib.clock import timestamp
from chalicelib.credentials import Credentials

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_secretsmanager.type_defs import (
        CreateSecretRequestTypeDef,
        CreateSecretResponseTypeDef,
        PutSecretValueRequestTypeDef,
        PutSecretValueResponseTypeDef,
    )

SERVICE = "sip-credentials"
FENCE = "SIP-CREDENTIALS-FENCE"
"""The label of versions that only use up their token."""

_STEPS = 4


class MirrorUnavailable(CallFailed):
    """The copy could not be written."""


class TokenUsed(MirrorUnavailable):
    """The token is the id of a version with another value."""


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
        return self._write(copy, token, is_new=is_new, labels=None)

    def fence(self, copy: Copy, *, token: str) -> None:
        """Uses up ``token``, so that a publisher which still holds it can never make its version current.

        A version's value cannot change: if the token has none yet, it gets ``copy``, under a label of its own
        that leaves the current version where it is. Raises :class:`MirrorUnavailable`.
        """
        try:
            self._write(copy, token, is_new=False, labels=[FENCE])
        except TokenUsed:
            return

    def _write(self, copy: Copy, token: str, *, is_new: bool, labels: list[str] | None) -> str:
        create = is_new
        # A refusal says what to do instead. Others may be doing the same to the same secret, so the next step
        # can be refused as well, but not for long.
        for _ in range(_STEPS):
            try:
                answer = self._create(copy, token) if create else self._put_value(copy, token, labels)
            except self.client.exceptions.ResourceNotFoundException:
                create = True
            except self.client.exceptions.ResourceExistsException as refusal:
                if not create:
                    raise TokenUsed.because(refusal) from refusal
                create = False
            except self.client.exceptions.InvalidRequestException:  # marked for deletion
                self._restore(copy)
                create = False
            except (ClientError, BotoCoreError) as failure:
                raise MirrorUnavailable.because(failure) from failure
            else:
                return answer["ARN"]
        raise MirrorUnavailable("Contention", transient=True)

    def _put_value(self, copy: Copy, token: str, labels: list[str] | None) -> "PutSecretValueResponseTypeDef":
        value: PutSecretValueRequestTypeDef = {
            "SecretId": self.secret_name(copy.phone_id),
            "SecretString": copy.text(),
            "ClientRequestToken": token,
        }
        if labels is not None:
            value["VersionStages"] = labels
        return self.client.put_secret_value(**value)

    def _create(self, copy: Copy, token: str) -> "CreateSecretResponseTypeDef":
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
        return self.client.create_secret(**secret)

    def _restore(self, copy: Copy) -> None:
        try:
            self.client.restore_secret(SecretId=self.secret_name(copy.phone_id))
        except self.client.exceptions.ResourceNotFoundException:
            return  # gone for good meanwhile: the next step creates it
        except (ClientError, BotoCoreError) as failure:
            raise MirrorUnavailable.because(failure) from failure
