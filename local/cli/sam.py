"""Builds and deploys the application with the real SAM CLI, away from the user's AWS settings."""

import json
import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.account import processes, state_file
from local.account.host import architecture, python_runtime
from local.account.settings import without_foreign_variables
from local.account.state_file import RunningAccount
from local.cli.archives import TEMPLATE, archive
from local.cli.errors import CommandError
from local.cli.fingerprint import fingerprint
from local.cli.project import Project

BUILD_PARTS = ("template.yaml", "functions", "layers", "workers", "samconfig.toml", "requirements/dev.txt")
DEPLOY_PARTS = (*BUILD_PARTS, "statemachines")
ENVIRONMENT_NAME = "local"
LINES_OF_A_FAILURE = 25

Progress = Callable[[str], None]


@dataclass(frozen=True)
class LocalEnvironment:
    """What samconfig.toml says about deploying locally."""

    stack_name: str
    parameters: Mapping[str, str]


def local_environment(samconfig: Path) -> LocalEnvironment:
    """The environment `local` of samconfig.toml; the running interpreter chooses runtime and architecture.

    Raises CommandError when the file or the environment is missing or cannot be read.
    """
    try:
        settings = tomllib.loads(samconfig.read_text(encoding="utf-8"))
        environment = settings[ENVIRONMENT_NAME]
        shared = environment.get("global", {}).get("parameters", {})
        deploy = {**shared, **environment.get("deploy", {}).get("parameters", {})}
    except FileNotFoundError:
        raise CommandError(f"There is no {samconfig}.", "Run the command in the project's folder.") from None
    except (tomllib.TOMLDecodeError, KeyError, AttributeError) as error:
        raise CommandError(
            f"{samconfig} has no readable environment [{ENVIRONMENT_NAME}]: {error}",
            "Give it [local.deploy.parameters] with a stack_name.",
        ) from None
    overrides = deploy.get("parameter_overrides", [])
    texts = overrides.split() if isinstance(overrides, str) else list(overrides)
    parameters = dict(text.partition("=")[::2] for text in texts)
    parameters |= {"PythonRuntime": python_runtime(), "Architecture": architecture()}
    return LocalEnvironment(deploy.get("stack_name", "healthlake-hub"), parameters)


def require_wheels(root: Path, parameters: Mapping[str, str]) -> None:
    """Raises CommandError when a layer has no wheel for the runtime; SAM would only miss a folder."""
    wanted = f"{parameters['PythonRuntime']}-{parameters['Architecture']}"
    for wheels in root.glob("layers/*/wheels"):
        if not (wheels / wanted).is_dir():
            known = ", ".join(sorted({path.name.partition("-")[0] for path in wheels.iterdir()}))
            raise CommandError(
                f"{wheels.relative_to(root)} names no wheel for {wanted}.",
                f"Install the project with one of {known}: `make clean`, `make setup PYTHON=<its path>`.",
            )


@dataclass(frozen=True)
class Sam:
    """The SAM CLI of the project's virtual environment."""

    project: Project
    log_dir: Path
    parameters: Mapping[str, str] | None = None

    def build(self, progress: Progress) -> bool:
        """Build the application unless the last build had the same sources; returns whether it was built.

        Raises CommandError with the end of SAM's output when it fails.
        """
        project = self.project
        if not project.template.is_file():
            raise CommandError(f"There is no template at {project.template}.", "Restore it, then try again.")
        environment = local_environment(project.samconfig)
        require_wheels(project.root, environment.parameters)
        marks = [*_as_options(environment.parameters), sys.version]
        current = fingerprint(project.root, BUILD_PARTS, marks)
        record = project.local_dir / "build.json"
        # beside what SAM caches, which takes no two builds at once: copies of a project may share it
        with state_file.lock(project.cache_dir / "sam-build.lock"):
            if _recorded(record) == current and (project.build_dir / TEMPLATE).is_file():
                return False
            command = ["build", "--template-file", str(project.template), "--cached", "--parallel"]
            command += ["--build-dir", str(project.build_dir)]
            command += ["--cache-dir", str(project.cache_dir / "sam-build")]
            command += ["--parameter-overrides", *_as_options(environment.parameters)]
            record.unlink(missing_ok=True)
            self._run(command, "sam-build.log", progress, {})
            archive(project.build_dir, project.cache_dir / "archives")
            state_file.write_json(record, {"fingerprint": current})
        return True

    def deploy(self, account: RunningAccount, progress: Progress) -> bool:
        """Deploy the build into the account unless the same was deployed; returns whether it was deployed."""
        project = self.project
        environment = local_environment(project.samconfig)
        options = _as_options({**environment.parameters, **(self.parameters or {})})
        current = fingerprint(project.root, DEPLOY_PARTS, [*options, account.started_at, str(account.pid)])
        record = Path(account.state_dir) / "deployed.json"
        if _recorded(record) == current:
            return False
        record.unlink(missing_ok=True)
        command = ["deploy", "--template-file", str(project.build_dir / TEMPLATE)]
        command += ["--config-file", str(project.samconfig), "--config-env", ENVIRONMENT_NAME]
        command += ["--stack-name", environment.stack_name, "--region", account.region, "--resolve-s3"]
        command += ["--capabilities", "CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
        command += ["--no-confirm-changeset", "--no-fail-on-empty-changeset", "--no-progressbar"]
        command += ["--parameter-overrides", *options]
        self._run(command, "sam-deploy.log", progress, account_variables(account))
        state_file.write_json(record, {"fingerprint": current})
        return True

    def _run(
        self, arguments: Sequence[str], log_name: str, progress: Progress, variables: Mapping[str, str]
    ) -> None:
        self.log_dir.mkdir(parents=True, exist_ok=True)
        log_file = self.log_dir / log_name
        with (
            log_file.open("w", encoding="utf-8") as log,
            processes.group_of(
                [sys.executable, "-m", "samcli", *arguments],
                cwd=self.project.root,
                env={**sam_environment(self.project), **variables},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                errors="replace",
            ) as process,
        ):
            for line in process.stdout or ():
                log.write(line)
                if any(character.isalnum() for character in line):
                    progress(line.strip()[:100])
            status = process.wait()
        if status != 0:
            raise CommandError(
                f"`sam {arguments[0]}` failed with status {status}.",
                f"Its whole output is in {log_file}",
                "\n".join(_last_lines(log_file)),
            )


def sam_environment(project: Project) -> dict[str, str]:
    """The environment for SAM: no telemetry, no update check, its files in the project, no AWS identity."""
    app_dir = project.cache_dir / "sam"
    _write_sam_settings(app_dir)
    nothing = project.cache_dir / "no-aws-settings"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return without_foreign_variables(os.environ) | {
        "PATH": path,
        "SAM_CLI_TELEMETRY": "0",
        "SAM_CLI_POLL_DELAY": "0.3",
        "__SAM_CLI_APP_DIR": str(app_dir),
        "PIP_CACHE_DIR": str(project.cache_dir / "pip"),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "UV_CACHE_DIR": str(project.cache_dir / "uv"),
        "AWS_CONFIG_FILE": str(nothing),
        "AWS_SHARED_CREDENTIALS_FILE": str(nothing),
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONUNBUFFERED": "1",
    }


def account_variables(account: RunningAccount) -> dict[str, str]:
    """The environment variables with which any AWS tool works in the local account."""
    return {
        "AWS_ENDPOINT_URL": account.endpoint,
        "AWS_REGION": account.region,
        "AWS_DEFAULT_REGION": account.region,
        "AWS_ACCESS_KEY_ID": account.access_key_id,
        "AWS_SECRET_ACCESS_KEY": account.secret_access_key,
    }


def _write_sam_settings(app_dir: Path) -> None:
    """SAM asks the package index for its newest version once a week: say that it has just done so."""
    app_dir.mkdir(parents=True, exist_ok=True)
    state_file.write_json(
        app_dir / "metadata.json", {"telemetryEnabled": False, "lastVersionCheck": time.time()}
    )


def _as_options(parameters: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in sorted(parameters.items())]


def _recorded(record: Path) -> str | None:
    try:
        content: Any = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return None
    return content.get("fingerprint") if isinstance(content, dict) else None


def _last_lines(log_file: Path) -> Iterable[str]:
    return log_file.read_text(encoding="utf-8").strip().splitlines()[-LINES_OF_A_FAILURE:]
