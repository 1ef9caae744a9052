"""What operators work on: what `make run` started, a stage's stack, or what the environment names."""

import json
import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError

from chalicelib.aws import CONCURRENCY
from chalicelib.clock import Clock, utc_now
from chalicelib.dynamodb import bind
from chalicelib.phones import SipPhones
from chalicelib.services import Services, connect
from chalicelib.settings import Settings
from ops.deploying import stack_name
from ops.fleet import Fleet
from ops.gateway import PROJECT
from ops.local_aws import use_local_credentials
from ops.stacks import DeploymentFailed, environments_region

STATE_FOLDER = PROJECT / ".local"
RUN_FILE = STATE_FOLDER / "run.json"
OUTPUT_VARIABLES = {"PhonesTable": "PHONES_TABLE", "TokensTable": "TOKENS_TABLE", "EventBus": "EVENT_BUS"}
"""Which settings the stack's outputs are."""
# Operators wait rather than fail: a read that is throttled is tried again for some seconds.
_CONFIG = Config(
    connect_timeout=3,
    read_timeout=20,
    retries={"total_max_attempts": 6, "mode": "standard"},
    max_pool_connections=CONCURRENCY,
)


@dataclass(frozen=True)
class Deployment:
    """A deployment, which nothing is asked of before it is needed. Raises :class:`DeploymentFailed`."""

    stage: str | None = None
    run_file: Path | None = None
    """Where `make run` says what it started; None for a deployment on AWS."""
    clock: Clock = utc_now
    _clients: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def region(self) -> str:
        """Its region. From here on, the SDK finds the deployment."""
        if self.run_file is not None:
            try:
                run = json.loads(self.run_file.read_text())
            except FileNotFoundError:
                raise DeploymentFailed("nothing runs locally; start it with `make run`") from None
            os.environ["AWS_ENDPOINT_URL"] = run["awsEndpointUrl"]
            os.environ["AWS_REGION"] = os.environ["AWS_DEFAULT_REGION"] = run["region"]
            use_local_credentials()
        try:
            return environments_region()
        except ValueError as error:
            raise DeploymentFailed(str(error)) from error

    @cached_property
    def settings(self) -> Settings:
        """The settings that its functions run with."""
        return Settings.from_env({**os.environ, "AWS_REGION": self.region, **self._variables()})

    @cached_property
    def services(self) -> Services:
        """Its use cases."""
        return connect(self.settings, self.clock)

    @cached_property
    def fleet(self) -> Fleet:
        """Its phones as a whole."""
        bind(SipPhones, table=self.settings.phones_table, settings=self.settings)
        return Fleet(self.client("dynamodb"), self.settings.phones_table)

    def client(self, service: str) -> Any:
        """A client for what only operators ask, made once."""
        if service not in self._clients:
            session = botocore.session.get_session()
            self._clients[service] = session.create_client(service, region_name=self.region, config=_CONFIG)
        return self._clients[service]

    @cached_property
    def stack(self) -> dict[str, Any]:
        """The stack of its stage, as CloudFormation describes it."""
        stage = str(self.stage)
        name, client = stack_name(stage), self.client("cloudformation")
        try:
            (stack,) = client.describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            if "does not exist" not in str(error):
                raise
            raise DeploymentFailed(
                f"there is no stack {name} in {self.region}: `make deploy STAGE={stage}` makes it; "
                "AWS_REGION chooses another region"
            ) from error
        return dict(stack)

    def resource(self, logical_id: str) -> str:
        """The name in AWS of a resource of the stack."""
        found = self.client("cloudformation").describe_stack_resource(
            StackName=self.stack["StackName"], LogicalResourceId=logical_id
        )
        return str(found["StackResourceDetail"]["PhysicalResourceId"])

    def _variables(self) -> dict[str, str]:
        """The environment of the function that sweeps, and the names that only other functions are told."""
        if self.stage is None:
            return {}
        outputs = {output["OutputKey"]: output["OutputValue"] for output in self.stack.get("Outputs", [])}
        if not {*OUTPUT_VARIABLES, "TendArn"} <= outputs.keys():
            raise DeploymentFailed(f"{self.stack['StackName']} is not complete: deploy it again")
        tend = self.client("lambda").get_function_configuration(FunctionName=outputs["TendArn"])
        variables: dict[str, str] = tend["Environment"]["Variables"]
        return variables | {variable: outputs[output] for output, variable in OUTPUT_VARIABLES.items()}
