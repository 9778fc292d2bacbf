"""The environment of the account's process, and what ministack must have."""

from pathlib import Path

import pytest

from local.account import ministack_names
from local.account.ministack_names import MinistackNameMissing, assert_private_names, ministack
from local.account.secure_transport import is_loopback
from local.account.settings import AccountSettings, account_environment, without_foreign_variables

USERS = {
    "AWS_PROFILE": "somebody",
    "AWS_ACCESS_KEY_ID": "AKIAUSERSOWNKEY",
    "SAM_CLI_TELEMETRY": "1",
    "PYTHONPATH": "/elsewhere",
    "HTTPS_PROXY": "http://proxy",
    "PATH": "/bin",
}


def test_what_selects_an_aws_identity_is_left_out() -> None:
    kept = set(without_foreign_variables(USERS)) & set(USERS)

    assert kept == {"HTTPS_PROXY", "PATH"}


def test_a_proxy_is_not_asked_for_the_account() -> None:
    environment = without_foreign_variables({**USERS, "NO_PROXY": "intranet"})

    assert environment["NO_PROXY"] == environment["no_proxy"] == "127.0.0.1,localhost,intranet"


def test_everything_that_is_written_goes_below_the_state_directory(tmp_path: Path) -> None:
    settings = AccountSettings(port=4566, state_dir=tmp_path)

    environment = account_environment(settings, {"HOME": "/root", "TMPDIR": "/tmp"})

    for name in ("HOME", "TMPDIR", "STATE_DIR", "S3_DATA_DIR", "AWS_CONFIG_FILE", "XDG_CACHE_HOME"):
        assert Path(environment[name]).is_relative_to(tmp_path), name


def test_listeners_other_than_the_port_are_off(tmp_path: Path) -> None:
    environment = account_environment(AccountSettings(port=4566, state_dir=tmp_path), {"USE_SSL": "1"})

    assert (environment["IOT_MTLS_ENABLED"], environment["SFTP_ENABLED"]) == ("0", "0")
    assert environment["BIND_HOST"] == "127.0.0.1"
    assert "USE_SSL" not in environment


def test_the_installed_ministack_has_every_name_that_is_built_upon() -> None:
    assert_private_names()


def test_a_missing_name_is_told_with_version_and_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = {"ministack.core.router": ("SERVICE_PATTERNS", "gone_since")}
    monkeypatch.setattr(ministack_names, "PRIVATE_NAMES", names)

    with pytest.raises(MinistackNameMissing) as missing:
        ministack("ministack.core.router")

    message = str(missing.value)
    assert all(part in message for part in ("1.5.33", "ministack.core.router", "'gone_since'", "make setup"))


@pytest.mark.parametrize(
    ("client", "loopback"),
    [(("127.0.0.1", 1), True), (("::1", 1), True), (("192.0.2.7", 1), False), (None, False)],
)
def test_only_a_peer_on_this_machine_is_loopback(client: tuple[str, int] | None, loopback: bool) -> None:
    assert is_loopback(client) is loopback
