"""What the account's process is started with, and the environment that makes ministack behave."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ACCOUNT_ID = "000000000000"
DEFAULT_REGION = "us-east-1"
DEFAULT_PORT = 4566
HOST = "127.0.0.1"
PARTS = (
    "iam",
    "lambda_runtime",
    "healthlake",
    "stepfunctions",
    "cloudwatch",
    "athena",
    "sqs",
    "streams",
    "pipes",
    "firehose",
)


@dataclass(frozen=True)
class AccountSettings:
    """One local account: where it listens and where it keeps what it writes.

    `state_dir` receives everything the process writes: log, temporary files, HealthLake's store. With
    `auth`, IAM policies are enforced for every caller, roles of functions and state machines included.
    `parts` are the ones joined to ministack; a test of one part may leave the others out.
    """

    port: int
    state_dir: Path
    auth: bool = True
    region: str = DEFAULT_REGION
    parts: tuple[str, ...] = PARTS

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def data_dir(self) -> Path:
        """Where HealthLake keeps its store."""
        return self.state_dir / "healthlake"

    @property
    def temporary_dir(self) -> Path:
        """Where functions are unpacked, for as long as the account runs."""
        return self.state_dir / "tmp"

    @property
    def home_dir(self) -> Path:
        """A home of its own, so that nothing reads or writes the user's."""
        return self.state_dir / "home"

    @property
    def log_file(self) -> Path:
        return self.state_dir / "account.log"

    def create_directories(self) -> None:
        for directory in (self.state_dir, self.data_dir, self.temporary_dir, self.home_dir):
            directory.mkdir(parents=True, exist_ok=True)


# Variables that would change what a local process does, or carry the user's own AWS identity into it.
FOREIGN_PREFIXES = (
    "AWS_",
    "BOTO",
    "SAM_",
    "__SAM",
    "MINISTACK_",
    "LOCALSTACK_",
    "MOTO_",
    "LAMBDA_",
    "PYTHON",
)


def without_foreign_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment less every variable that selects an AWS identity or configures an AWS tool.

    What reaches package indexes (proxies, certificates, pip's settings) stays; no proxy stands between the
    processes of this machine.
    """
    clean = {name: value for name, value in environment.items() if not name.startswith(FOREIGN_PREFIXES)}
    direct = [HOST, "localhost", *filter(None, [environment.get("NO_PROXY") or environment.get("no_proxy")])]
    return clean | {"NO_PROXY": ",".join(direct), "no_proxy": ",".join(direct)}


def account_environment(settings: AccountSettings, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of the account's process, which its function workers inherit.

    Every listener of ministack but the one port is off; what it keeps on disk is below the state directory.
    """
    clean = without_foreign_variables(environment)
    for name in ("AUTH", "SERVICES", "USE_SSL", "PERSIST_STATE", "EDGE_PORT", "DOCKER_HOST"):
        clean.pop(name, None)
    return clean | {
        "GATEWAY_PORT": str(settings.port),
        "BIND_HOST": HOST,
        "MINISTACK_HOST": HOST,
        "MINISTACK_REGION": settings.region,
        "MINISTACK_ACCOUNT_ID": ACCOUNT_ID,
        "AUTH": "true" if settings.auth else "false",
        "LOG_LEVEL": "INFO",
        # no listener but the port above
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        # no container runtime: functions run as local processes
        "LAMBDA_EXECUTOR": "local",
        "DOCKER_HOST": f"unix://{settings.state_dir / 'no-docker.sock'}",
        # nothing outside the state directory
        "STATE_DIR": str(settings.state_dir / "ministack"),
        "S3_DATA_DIR": str(settings.state_dir / "s3"),
        "PERSIST_STATE": "0",
        "S3_PERSIST": "0",
        "TMPDIR": str(settings.temporary_dir),
        "HOME": str(settings.home_dir),
        "XDG_CACHE_HOME": str(settings.home_dir / ".cache"),
        "XDG_CONFIG_HOME": str(settings.home_dir / ".config"),
        # no look at the user's AWS files, nor for an instance's metadata
        "AWS_CONFIG_FILE": str(settings.home_dir / "aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(settings.home_dir / "aws-credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONUNBUFFERED": "1",
    }
