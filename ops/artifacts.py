"""The bucket that CloudFormation reads a deployment's archive and template from."""

import hashlib
from http import HTTPStatus

from botocore.exceptions import ClientError

from ops.stacks import Aws, Echo


class Artifacts:
    """An account's bucket for artefacts, made when it is missing."""

    def __init__(self, aws: Aws, bucket: str, echo: Echo) -> None:
        self.bucket = bucket
        self._s3 = aws.s3
        # The bucket's name can be guessed: one that belongs to another account is refused.
        self._owner = {"ExpectedBucketOwner": aws.account}
        self._echo = echo
        if not self._exists("head_bucket"):
            echo(f"creating bucket {bucket}")
            # us-east-1 is the one region that S3 does not take by its name.
            place = {"CreateBucketConfiguration": {"LocationConstraint": aws.region}}
            self._s3.create_bucket(Bucket=bucket, **(place if aws.region != "us-east-1" else {}))
        # Each time, because an earlier deployment may have ended between the bucket and its settings.
        self._s3.put_public_access_block(
            Bucket=bucket,
            PublicAccessBlockConfiguration=dict.fromkeys(
                ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
            ),
            **self._owner,
        )
        self._s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}, **self._owner)
        rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
        self._s3.put_bucket_encryption(
            Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]}, **self._owner
        )

    def put(self, folder: str, content: bytes, suffix: str) -> str:
        """Stores ``content`` under a key made of it, unless it is there; returns the key."""
        key = f"{folder}/{hashlib.sha256(content).hexdigest()}.{suffix}"
        if not self._exists("head_object", Key=key):
            self._echo(f"uploading {len(content):,} bytes to s3://{self.bucket}/{key}")
            self._s3.put_object(Bucket=self.bucket, Key=key, Body=content, **self._owner)
        return key

    def url(self, key: str) -> str:
        """The address of an object, as CloudFormation takes it."""
        return f"{self._s3.meta.endpoint_url}/{self.bucket}/{key}"

    def _exists(self, operation: str, **what: str) -> bool:
        try:
            getattr(self._s3, operation)(Bucket=self.bucket, **what, **self._owner)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.NOT_FOUND:
                return False
            raise
        return True
