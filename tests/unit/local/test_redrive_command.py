"""`redrive`: the workflow started and its endings told; dead letters in quarantine listed, shown, changed,
sent back and discarded."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from dlq_redrive.dead_letter_quarantine import QuarantinedLetter
from dlq_redrive.message_identity import message_identity
from dlq_redrive.senders import Sender
from dlq_redrive.table_keys import count_key
from dlq_redrive.ways_back import Ways
from local.account.lifecycle import REPOSITORY
from local.cli.errors import CommandError
from local.cli.executions import Finished, StateEntered
from local.cli.main import main
from local.cli.operations.hub import DeployedHub
from local.cli.output import Output
from local.cli.redrive import discarding, editing, return_command, workflow
from local.cli.redrive.discarding import discard
from local.cli.redrive.editing import edit
from local.cli.redrive.endings import WORDS, Ending, show_ending
from local.cli.redrive.listing import list_letters, show
from local.cli.redrive.return_command import ReturnOptions, give_back, sending_client
from local.cli.redrive.returning import Returner
from local.cli.redrive.workflow import StartOptions, follow, start
from local.testing.mocked_hub import BUCKET, REGION

if TYPE_CHECKING:
    from tests.unit.local.conftest import FakeStates

SECRET = "Moesgaard"
MACHINE = f"arn:aws:states:{REGION}:123456789012:stateMachine:hub-redrive"
QUARANTINED_AT = "2026-03-01T12:00:00.000Z"


@dataclass
class Shelf:
    """A hub with a standard and a FIFO queue, their dead-letter queues, and letters in quarantine."""

    hub: DeployedHub
    urls: Mapping[str, str]
    sent: int = 0

    def letter(self, body: str = SECRET, queue: str = "hub-dead", group: str | None = None) -> str:
        """A quarantined dead letter; returns its key."""
        self.sent += 1
        attributes = {"SentTimestamp": str(1_000 + self.sent)}
        if group is not None:
            attributes |= {"MessageGroupId": group, "SequenceNumber": str(self.sent)}
        letter = QuarantinedLetter(
            queue_arn=f"arn:aws:sqs:{REGION}:123456789012:{queue}",
            kind="sqs",
            message_id=f"message-{self.sent}",
            identity=f"{self.sent:064x}",
            body=body,
            message_attributes={"who": {"DataType": "String", "StringValue": "kept"}},
            attributes=attributes,
            first_failed_at=QUARANTINED_AT,
            last_failed_at=QUARANTINED_AT,
            redrives=3,
            history=(),
            reason="REDRIVEN_TOO_OFTEN",
            quarantined_at=QUARANTINED_AT,
        )
        self.put(letter)
        return letter.key

    def put(self, letter: QuarantinedLetter) -> None:
        self.hub.client("s3").put_object(Bucket=BUCKET, Key=letter.key, Body=letter.to_json())

    def read(self, key: str) -> QuarantinedLetter:
        content = self.hub.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return QuarantinedLetter.from_json(content)

    def claim(self, key: str, ago: timedelta, **more: str) -> None:
        """Leave what a return leaves that was killed after its claim."""
        at = (datetime.now(UTC) - ago).isoformat()
        self.put(self.read(key).claimed({"at": at, "by": "somebody", "claim": "1", **more}))

    def keys(self) -> list[str]:
        found = self.hub.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="dead-letters/")
        return [one["Key"] for one in found.get("Contents", [])]

    def received(self, queue: str = "hub-work") -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = (
            self.hub.client("sqs")
            .receive_message(
                QueueUrl=self.urls[queue],
                MaxNumberOfMessages=10,
                MessageAttributeNames=["All"],
                AttributeNames=["All"],
            )
            .get("Messages", [])
        )
        return messages


@pytest.fixture
def shelf(hub: DeployedHub, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    monkeypatch.setattr(return_command, "sending_client", DeployedHub.client)
    hub = replace(hub, outputs={**hub.outputs, "RedriveStateMachineArn": MACHINE})
    sqs = hub.client("sqs")
    tags = {"redrive-stack": "hub"}
    urls: dict[str, str] = {}
    for ending, fifo in (("", {}), (".fifo", {"FifoQueue": "true"})):
        dead = f"hub-dead{ending}"
        urls[dead] = sqs.create_queue(QueueName=dead, Attributes=fifo, tags={**tags, "redrive-kind": "sqs"})[
            "QueueUrl"
        ]
        policy = {"deadLetterTargetArn": f"arn:aws:sqs:{REGION}:123456789012:{dead}", "maxReceiveCount": 1}
        work = f"hub-work{ending}"
        attributes = {**fifo, "RedrivePolicy": json.dumps(policy)}
        urls[work] = sqs.create_queue(QueueName=work, Attributes=attributes, tags=tags)["QueueUrl"]
    hub.client("s3").put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    return Shelf(hub, urls)


def documented(call: Any) -> tuple[int, dict[str, Any]]:
    """The exit status and the document of a command that is given an output."""
    shown = io.StringIO()
    status = call(Output(shown, as_json=True))
    return status, json.loads(shown.getvalue())


def returned(shelf: Shelf, *keys: str, **options: Any) -> tuple[int, list[dict[str, Any]]]:
    status, document = documented(
        lambda output: give_back(shelf.hub, output, ReturnOptions(keys=keys, **options))
    )
    return status, document["letters"]


# --- list and show ---------------------------------------------------------------------------------------


def test_a_list_tells_what_is_known_of_each_letter(shelf: Shelf) -> None:
    key = shelf.letter()

    _, document = documented(lambda output: list_letters(shelf.hub, output, None, 10))

    (letter,) = document["letters"]
    told = {name: letter[name] for name in ("key", "queue", "kind", "reason", "redrives", "state")}
    assert told == {
        "key": key,
        "queue": "hub-dead",
        "kind": "sqs",
        "reason": "REDRIVEN_TOO_OFTEN",
        "redrives": 3,
        "state": "waits",
    }
    assert letter["bytes"] > 0
    assert letter["failedSeconds"] >= 0


def test_a_redrive_by_sqs_that_counts_is_told_beside_those_that_were_counted(shelf: Shelf) -> None:
    key, other = shelf.letter(), shelf.letter()
    shelf.put(replace(shelf.read(key), bulk_at=QUARANTINED_AT))
    shown = io.StringIO()

    show(shelf.hub, Output(shown), key)
    assert f'"bulkAt": "{QUARANTINED_AT}"' in shown.getvalue()
    list_letters(shelf.hub, Output(shown), None, 10)
    discard(shelf.hub, Output(shown), [key, other], confirmed=True)

    rows = [line for line in shown.getvalue().splitlines() if "dead-letters/" in line]
    assert [("3 + 1 by SQS" in row) == (key in row) for row in rows] == [True] * 4


@pytest.mark.parametrize("as_json", [False, True])
def test_a_list_never_tells_what_a_letter_says(
    shelf: Shelf, as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf.letter()
    shown = io.StringIO()

    list_letters(shelf.hub, Output(shown, as_json=as_json), None, 10)

    assert "hub-dead" in shown.getvalue()
    assert not {SECRET, "kept"} & set(shown.getvalue().replace('"', " ").split())
    assert SECRET not in "".join(capsys.readouterr())


def test_a_list_can_be_of_one_queue(shelf: Shelf) -> None:
    shelf.letter()
    key = shelf.letter(queue="hub-dead.fifo", group="a")

    _, document = documented(lambda output: list_letters(shelf.hub, output, "hub-dead.fifo", 10))

    assert [one["key"] for one in document["letters"]] == [key]


def test_a_list_says_how_many_it_leaves_out(shelf: Shelf) -> None:
    shelf.letter()
    shelf.letter()

    _, document = documented(lambda output: list_letters(shelf.hub, output, None, 1))

    assert (len(document["letters"]), document["leftOut"]) == (1, 1)


def test_what_is_no_dead_letter_is_listed_as_such(shelf: Shelf) -> None:
    shelf.hub.client("s3").put_object(Bucket=BUCKET, Key=f"dead-letters/q/{'0' * 64}-x.json", Body=SECRET)

    _, document = documented(lambda output: list_letters(shelf.hub, output, None, 10))

    assert document["letters"][0]["reason"] == "NO_DEAD_LETTER"


def test_a_letter_is_shown_whole_with_a_warning_and_cannot_steer_the_terminal(
    shelf: Shelf, capsys: pytest.CaptureFixture[str]
) -> None:
    key = shelf.letter(body=f"{SECRET}\x1b[31m")
    shown = io.StringIO()

    show(shelf.hub, Output(shown), key)

    assert SECRET in shown.getvalue()
    assert "kept" in shown.getvalue()
    assert "\x1b" not in shown.getvalue()
    assert "PHI" in capsys.readouterr().err


def test_a_program_is_given_the_body_as_it_is(shelf: Shelf) -> None:
    key = shelf.letter(body="1.10 \x1b é")

    _, document = documented(lambda output: show(shelf.hub, output, key))

    assert document["letter"]["body"] == "1.10 \x1b é"


@pytest.mark.parametrize(
    "key", ["quarantine/run/000000-000.ndjson", "dead-letters/../x.json", "dead-letters/q/x.json", ""]
)
def test_a_key_outside_of_the_quarantine_is_refused_by_every_command(shelf: Shelf, key: str) -> None:
    shelf.hub.client("s3").put_object(Bucket=BUCKET, Key=key or "x", Body=SECRET)
    commands: list[Callable[[Output], int]] = [
        lambda output: show(shelf.hub, output, key),
        lambda output: edit(shelf.hub, output, key, Path("unread")),
        lambda output: give_back(shelf.hub, output, ReturnOptions(keys=(key,))),
        lambda output: discard(shelf.hub, output, [key], confirmed=True),
    ]

    for command in commands:
        with pytest.raises(CommandError, match="is no key of the quarantine"):
            command(Output(io.StringIO()))

    assert shelf.hub.client("s3").head_object(Bucket=BUCKET, Key=key or "x")


def test_a_letter_that_is_not_there_is_no_stack_trace(shelf: Shelf) -> None:
    with pytest.raises(CommandError, match="There is no dead letter"):
        show(shelf.hub, Output(io.StringIO()), f"dead-letters/hub-dead/{'0' * 64}-x.json")


# --- edit ------------------------------------------------------------------------------------------------


def written(folder: Path, body: str | bytes) -> Path:
    path = folder / "body"
    path.write_bytes(body.encode() if isinstance(body, str) else body)
    return path


def test_an_edit_changes_the_body_and_keeps_the_one_it_had(shelf: Shelf, tmp_path: Path) -> None:
    key = shelf.letter(body="first")

    edit(shelf.hub, Output(io.StringIO()), key, written(tmp_path, "second"))
    edit(shelf.hub, Output(io.StringIO()), key, written(tmp_path, "third"))

    letter = shelf.read(key)
    assert letter.body == "third"
    assert [one["body"] for one in letter.edits] == ["first", "second"]
    assert letter.edits[0]["by"] == "user/operator"


def test_an_edit_that_changes_nothing_writes_nothing(shelf: Shelf, tmp_path: Path) -> None:
    key = shelf.letter(body="same")

    _, document = documented(lambda output: edit(shelf.hub, output, key, written(tmp_path, "same")))

    assert document["edited"] is False
    assert shelf.read(key).edits == ()


def test_an_edit_of_what_somebody_else_has_changed_writes_nothing(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = shelf.letter(body="first")
    theirs = shelf.read(key).edited("theirs", "somebody", datetime.now(UTC))

    def meanwhile(_path: Path) -> str:
        shelf.put(theirs)
        return "mine"

    monkeypatch.setattr(editing, "_from_file", meanwhile)

    with pytest.raises(CommandError, match="meanwhile"):
        edit(shelf.hub, Output(io.StringIO()), key, tmp_path)

    assert shelf.read(key) == theirs


def test_an_edit_whose_answer_is_lost_is_known_to_be_written(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = shelf.letter(body="first")
    s3 = shelf.hub.client("s3")
    put = s3.put_object

    def put_twice(**request: Any) -> Any:
        put(**request)
        return put(**request)

    monkeypatch.setattr(s3, "put_object", put_twice)

    assert edit(shelf.hub, Output(io.StringIO()), key, written(tmp_path, "second")) == 0

    assert [one["body"] for one in shelf.read(key).edits] == ["first"]


@pytest.mark.parametrize(
    ("body", "what"),
    [("", "empty"), ("a\x00b", r"U\+0000"), ("x" * (1024 * 1024 + 1), "bytes"), (b"\xff", "UTF-8")],
)
def test_a_body_that_cannot_be_sent_is_refused(
    shelf: Shelf, tmp_path: Path, body: str | bytes, what: str
) -> None:
    key = shelf.letter()

    with pytest.raises(CommandError, match=what):
        edit(shelf.hub, Output(io.StringIO()), key, written(tmp_path, body))

    assert shelf.read(key).body == SECRET


def test_what_may_have_been_sent_is_not_edited(shelf: Shelf, tmp_path: Path) -> None:
    key = shelf.letter()
    shelf.claim(key, timedelta(hours=1))

    with pytest.raises(CommandError, match="may have been sent"):
        edit(shelf.hub, Output(io.StringIO()), key, written(tmp_path, "other"))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_the_editor_has_the_body_in_a_file_of_its_owner_alone(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = shelf.letter(body="first")
    script = tmp_path / "editor"
    script.write_text(
        f'#!/bin/sh\nstat -c %a "$1" > {tmp_path}/mode\ncat "$1" > {tmp_path}/seen\n'
        f'echo "$1" > {tmp_path}/path\necho second > "$1"\n'
    )
    script.chmod(0o700)
    monkeypatch.setenv("VISUAL", str(script))
    monkeypatch.setattr("sys.stdin", Terminal())

    edit(shelf.hub, Output(io.StringIO()), key, None)

    assert (tmp_path / "mode").read_text().strip() == "600"
    assert (tmp_path / "seen").read_text() == "first"
    assert not Path((tmp_path / "path").read_text().strip()).exists()
    assert shelf.read(key).body == "second"


def test_without_a_terminal_an_edit_wants_a_file(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    key = shelf.letter()
    monkeypatch.setattr("sys.stdin", io.StringIO())

    with pytest.raises(CommandError, match="no terminal"):
        edit(shelf.hub, Output(io.StringIO()), key, None)


# --- return ----------------------------------------------------------------------------------------------


def test_a_return_sends_the_message_with_its_attributes_and_removes_it(shelf: Shelf) -> None:
    key = shelf.letter()

    status, letters = returned(shelf, key)

    (message,) = shelf.received()
    assert message["Body"] == SECRET
    values = {name: one["StringValue"] for name, one in message["MessageAttributes"].items()}
    assert values == {"who": "kept", "HealthLakeHubRedrive": "4"}
    assert (status, letters[0]["outcome"], shelf.keys()) == (0, "RETURNED", [])


def test_a_returned_message_keeps_what_x_ray_knows_it_by(shelf: Shelf) -> None:
    key = shelf.letter()
    letter = shelf.read(key)
    trace = "Root=1-6740b6a0-0123456789abcdef01234567;Parent=0123456789abcdef;Sampled=1"
    shelf.put(replace(letter, attributes={**letter.attributes, "AWSTraceHeader": trace}))

    returned(shelf, key)

    assert [one["Attributes"]["AWSTraceHeader"] for one in shelf.received()] == [trace]


def test_a_return_that_is_asked_for_again_sends_nothing(shelf: Shelf) -> None:
    key = shelf.letter()

    returned(shelf, key)
    status, letters = returned(shelf, key)

    assert (status, letters[0]["outcome"]) == (0, "RETURNED_BEFORE")
    assert len(shelf.received()) == 1


def test_an_edited_message_is_sent_as_it_is_now(shelf: Shelf, tmp_path: Path) -> None:
    key = shelf.letter(body="first")
    edit(shelf.hub, Output(io.StringIO()), key, written(tmp_path, "second"))

    returned(shelf, key)

    assert [one["Body"] for one in shelf.received()] == ["second"]


def test_all_of_a_fifo_queue_go_back_in_the_order_in_which_they_died(shelf: Shelf) -> None:
    for body in ("1", "2", "3"):
        shelf.letter(body=body, queue="hub-dead.fifo", group="a")
    shelf.letter(body="other queue")

    returned(shelf, queue="hub-dead.fifo", all_of_queue=True)

    messages = shelf.received("hub-work.fifo")
    assert [one["Body"] for one in messages] == ["1", "2", "3"]
    assert {one["Attributes"]["MessageGroupId"] for one in messages} == {"a"}
    assert len(shelf.keys()) == 1


def test_messages_that_are_just_alike_are_all_sent(shelf: Shelf) -> None:
    keys = [shelf.letter(body="same", queue="hub-dead.fifo", group="a") for _ in range(2)]
    letters = [replace(shelf.read(key), identity="0" * 64) for key in keys]
    for letter in letters:
        shelf.put(letter)

    returned(shelf, *(letter.key for letter in letters))

    assert [one["Body"] for one in shelf.received("hub-work.fifo")] == ["same", "same"]


def test_of_two_that_return_at_once_one_sends(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    key = shelf.letter()
    prepare = Sender.prepare
    other: list[tuple[int, list[dict[str, Any]]]] = []

    def while_sending(self: Sender, *arguments: Any) -> Any:
        monkeypatch.setattr(Sender, "prepare", prepare)
        other.append(returned(shelf, key))
        return prepare(self, *arguments)

    monkeypatch.setattr(Sender, "prepare", while_sending)

    returned(shelf, key)

    assert other[0][0] == 1
    assert "may have been sent" in other[0][1][0]["error"]
    assert len(shelf.received()) == 1


def test_of_two_that_have_both_found_a_letter_one_sends(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = shelf.letter()
    back = Ways.back

    def after_another(self: Ways, *arguments: Any) -> Any:
        monkeypatch.setattr(Ways, "back", back)
        shelf.claim(key, timedelta())
        return back(self, *arguments)

    monkeypatch.setattr(Ways, "back", after_another)

    status, letters = returned(shelf, key)

    assert (status, shelf.received()) == (1, [])
    assert "Somebody else returns, edits or discards" in letters[0]["error"]


def test_an_unfinished_start_of_an_execution_is_finished_under_the_same_name(
    shelf: Shelf, states: FakeStates, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []

    def start_execution(**request: str) -> None:
        names.append(request["name"])
        if len(names) == 1:
            raise ReadTimeoutError(endpoint_url="x")

    fake: Any = states
    fake.start_execution = start_execution
    fake.exceptions = type("Exceptions", (), {"ExecutionAlreadyExists": FileExistsError})
    key = shelf.letter()
    target = {"TARGET_ARN": {"DataType": "String", "StringValue": MACHINE}}
    shelf.put(replace(shelf.read(key), kind="schedule", message_attributes=target))
    shelf.hub.client("sqs").delete_queue(QueueUrl=shelf.urls["hub-dead"])

    outcomes = [returned(shelf, key, unbound=True)[1][0]["outcome"] for _ in range(2)]

    assert outcomes == ["NOT_RETURNED", "RETURNED"]
    assert len(names) == 2
    assert len(set(names)) == 1


def die(*_arguments: Any) -> None:
    raise KeyboardInterrupt


def test_a_kill_between_claim_and_end_is_not_sent_again_unless_asked_for(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = shelf.letter()
    with monkeypatch.context() as patched:
        patched.setattr(Sender, "prepare", die)
        with pytest.raises(KeyboardInterrupt):
            returned(shelf, key)

    refused, _ = returned(shelf, key)
    nothing_yet = shelf.received()
    sent, _ = returned(shelf, key, again=True)

    assert (refused, nothing_yet, sent) == (1, [], 0)
    assert len(shelf.received()) == 1


def test_after_a_kill_a_fifo_queue_is_sent_the_same_message_once(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = shelf.letter(queue="hub-dead.fifo", group="a")
    with monkeypatch.context() as patched:
        patched.setattr(Returner, "_finish", die)
        with pytest.raises(KeyboardInterrupt):
            returned(shelf, key)

    status, letters = returned(shelf, key)

    assert (status, letters[0]["outcome"]) == (0, "RETURNED")
    assert len(shelf.received("hub-work.fifo")) == 1
    assert shelf.received("hub-work.fifo") == []


def test_once_a_fifo_queue_forgets_copies_an_unfinished_return_is_refused(shelf: Shelf) -> None:
    key = shelf.letter(queue="hub-dead.fifo", group="a")
    shelf.claim(key, timedelta(minutes=5))

    status, letters = returned(shelf, key)

    assert (status, letters[0]["outcome"]) == (1, "NOT_RETURNED")
    assert shelf.received("hub-work.fifo") == []


def test_what_is_known_to_be_sent_is_only_removed(shelf: Shelf) -> None:
    key = shelf.letter()
    shelf.claim(key, timedelta(hours=1), sentAt=QUARANTINED_AT)

    status, letters = returned(shelf, key)

    assert (status, letters[0]["outcome"], shelf.keys()) == (0, "RETURNED_BEFORE", [])
    assert shelf.received() == []


def refusing(shelf: Shelf, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_request: Any) -> None:
        raise error

    monkeypatch.setattr(shelf.hub.client("sqs"), "send_message", refuse)


def refusal(status: int, code: str = "AccessDenied") -> ClientError:
    told: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(told, "SendMessage")


def test_a_send_that_is_refused_leaves_the_letter_as_it_was(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [shelf.letter(), shelf.letter()]
    before = [shelf.read(key) for key in keys]
    refusing(shelf, refusal(403), monkeypatch)

    status, letters = returned(shelf, *keys)

    assert status == 1
    assert "SendMessage was refused with AccessDenied" in letters[0]["error"]
    assert "was not tried" in letters[1]["error"]
    assert [shelf.read(key) for key in keys] == before


@pytest.mark.parametrize("error", [ReadTimeoutError(endpoint_url="x"), refusal(500, "InternalFailure")])
def test_a_question_without_an_answer_leaves_the_letter_as_it_was(
    shelf: Shelf, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = shelf.letter()
    before = shelf.read(key)

    def unanswered(*_: Any) -> None:
        raise error

    monkeypatch.setattr(Sender, "prepare", unanswered)

    assert "was not sent" in returned(shelf, key)[1][0]["error"]
    assert shelf.read(key) == before


@pytest.mark.parametrize("error", [ReadTimeoutError(endpoint_url="x"), refusal(503, "InternalFailure")])
def test_a_send_whose_answer_is_lost_keeps_its_claim(
    shelf: Shelf, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = shelf.letter()
    refusing(shelf, error, monkeypatch)

    _, letters = returned(shelf, key)

    assert "may have been sent" in letters[0]["error"]
    claim = shelf.read(key).returned
    assert claim is not None
    assert "sentAt" not in claim


def test_a_refusal_after_an_unfinished_return_does_not_make_it_undone(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = shelf.letter()
    shelf.claim(key, timedelta(hours=1))
    before = shelf.read(key)
    refusing(shelf, refusal(403), monkeypatch)

    returned(shelf, key, again=True)

    assert shelf.read(key) == before


def test_what_is_sent_is_sent_in_one_attempt(hub: DeployedHub) -> None:
    """Or the SDK would send again what it got no answer to."""
    config = sending_client(hub, "sqs").meta.config

    assert config.retries["total_max_attempts"] == 1


def put_again(shelf: Shelf, letter: QuarantinedLetter, day: int = 2) -> None:
    """Leave what a redrive leaves that meets a message which one before had put in quarantine and, killed,
    not deleted; in quarantine it is gone by now."""
    there = shelf.keys()
    if letter.key in there:
        discard(shelf.hub, Output(io.StringIO()), [letter.key], confirmed=True)
    shelf.put(replace(letter, quarantined_at=f"2026-03-{day:02}T12:00:00.000Z"))


def test_a_message_that_was_returned_and_put_in_quarantine_again_is_not_sent_again(shelf: Shelf) -> None:
    key = shelf.letter()
    letter = shelf.read(key)
    returned(shelf, key)
    put_again(shelf, letter)
    put_again(shelf, letter, day=3)

    status, letters = returned(shelf, key)

    assert (status, letters[0]["outcome"], shelf.keys()) == (0, "RETURNED_BEFORE", [])
    assert len(shelf.received()) == 1


def test_a_message_that_may_have_been_returned_before_it_was_put_in_quarantine_again_is_refused(
    shelf: Shelf,
) -> None:
    key = shelf.letter()
    letter = shelf.read(key)
    shelf.claim(key, timedelta(hours=1))
    put_again(shelf, letter)

    status, letters = returned(shelf, key)

    assert (status, shelf.received()) == (1, [])
    assert "may have been sent" in letters[0]["error"]


def test_a_message_that_was_discarded_and_put_in_quarantine_again_can_be_returned(shelf: Shelf) -> None:
    key = shelf.letter()
    put_again(shelf, shelf.read(key))

    assert returned(shelf, key)[0] == 0
    assert len(shelf.received()) == 1


def test_a_return_that_was_refused_can_be_made_again(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    key = shelf.letter()
    with monkeypatch.context() as patched:
        refusing(shelf, refusal(403), patched)
        returned(shelf, key)

    assert returned(shelf, key)[0] == 0


def test_a_message_that_is_returned_has_all_its_redrives_again(shelf: Shelf, tmp_path: Path) -> None:
    key = shelf.letter()
    edit(shelf.hub, Output(io.StringIO()), key, written(tmp_path, "mended"))
    letter = shelf.read(key)
    identity = message_identity(letter.queue_arn, "sqs", letter.to_letter())
    table, count = shelf.hub.client("dynamodb"), count_key("hub-dead", identity)
    table.put_item(TableName=shelf.hub.table, Item={**count, "redrives": {"N": "3"}})

    returned(shelf, key)

    assert "Item" not in table.get_item(TableName=shelf.hub.table, Key=count)


def test_a_group_stops_at_the_first_message_that_is_not_sent(shelf: Shelf) -> None:
    keys = [shelf.letter(queue="hub-dead.fifo", group=group) for group in ("a", "a", "b")]
    shelf.claim(keys[0], timedelta(hours=1))

    status, letters = returned(shelf, *keys)

    outcomes = {one["key"]: one["outcome"] for one in letters}
    assert [outcomes[key] for key in keys] == ["NOT_RETURNED", "NOT_RETURNED", "RETURNED"]
    assert status == 1


def test_a_target_that_does_not_send_here_what_fails_is_not_believed(
    shelf: Shelf, states: FakeStates
) -> None:
    started: list[str] = []
    fake: Any = states
    fake.start_execution = lambda **request: started.append(request["stateMachineArn"])
    fake.exceptions = type("Exceptions", (), {"ExecutionAlreadyExists": FileExistsError})
    key = shelf.letter()
    target = {"TARGET_ARN": {"DataType": "String", "StringValue": MACHINE}}
    shelf.put(replace(shelf.read(key), kind="rule", message_attributes=target))
    shelf.hub.client("sqs").delete_queue(QueueUrl=shelf.urls["hub-dead"])

    refused, letters = returned(shelf, key)
    nothing_yet = list(started)
    sent, _ = returned(shelf, key, unbound=True)

    assert (refused, nothing_yet, sent, started) == (1, [], 0, [MACHINE])
    assert "TARGET_NOT_BOUND" in letters[0]["error"]


def test_a_queue_that_cannot_be_read_keeps_no_letter_of_another_from_its_return(shelf: Shelf) -> None:
    shelf.hub.client("sqs").create_queue(
        QueueName="hub-other", tags={"redrive-stack": "hub", "redrive-kind": "typo"}
    )
    key = shelf.letter()

    status, letters = returned(shelf, key)

    assert (status, letters[0]["outcome"]) == (0, "RETURNED")
    assert [one["Body"] for one in shelf.received()] == [SECRET]


def test_a_letter_whose_queue_cannot_be_read_stays_and_says_why(shelf: Shelf) -> None:
    shelf.hub.client("sqs").tag_queue(QueueUrl=shelf.urls["hub-dead"], Tags={"redrive-kind": "typo"})
    keys = [shelf.letter(), shelf.letter(), shelf.letter(queue="hub-dead.fifo", group="a")]

    status, letters = returned(shelf, *keys)

    assert "The queue hub-dead cannot be looked at. The tag redrive-kind" in letters[0]["error"]
    assert [one["outcome"] for one in letters] == ["NOT_RETURNED", "NOT_RETURNED", "RETURNED"]
    assert "was not tried" in letters[1]["error"]
    assert (status, shelf.keys()) == (1, keys[:2])


def test_a_letter_of_a_kind_that_nobody_knows_is_refused_without_a_stack_trace(shelf: Shelf) -> None:
    key = shelf.letter()
    shelf.put(replace(shelf.read(key), kind="unknown"))

    status, letters = returned(shelf, key)

    assert (status, letters[0]["outcome"]) == (1, "NOT_RETURNED")
    assert "holds no dead letter" in letters[0]["error"]


def test_a_letter_without_a_way_back_asks_for_a_destination(shelf: Shelf) -> None:
    shelf.hub.client("sqs").delete_queue(QueueUrl=shelf.urls["hub-work"])
    other = shelf.hub.client("sqs").create_queue(QueueName="other")["QueueUrl"]
    key = shelf.letter()
    shown = io.StringIO()

    status = give_back(shelf.hub, Output(shown), ReturnOptions(keys=(key,)))
    there, _ = returned(shelf, key, destination="other")

    assert (status, there) == (1, 0)
    assert "SOURCE_UNKNOWN. Say where to with --destination." in shown.getvalue()
    messages = shelf.hub.client("sqs").receive_message(QueueUrl=other)["Messages"]
    assert [one["Body"] for one in messages] == [SECRET]


@pytest.mark.parametrize(
    "destination", ["hub-dead", "other.fifo", "arn:aws:sqs:eu-west-1:123456789012:other"]
)
def test_a_destination_that_cannot_be_is_refused(shelf: Shelf, destination: str) -> None:
    key = shelf.letter()

    _, letters = returned(shelf, key, destination=destination)

    assert "--destination" in letters[0]["error"]
    assert shelf.keys() == [key]


@pytest.mark.parametrize(
    "options", [{}, {"queue": "hub-dead"}, {"all_of_queue": True}, {"keys": ("k",), "queue": "hub-dead"}]
)
def test_a_choice_that_is_none_is_refused(shelf: Shelf, options: dict[str, Any]) -> None:
    key = shelf.letter()
    chosen = {**options, "keys": (key,)} if "keys" in options else options

    with pytest.raises(CommandError, match="Which dead letters"):
        give_back(shelf.hub, Output(io.StringIO()), ReturnOptions(**chosen))


def test_a_queue_with_nothing_in_quarantine_has_nothing_to_return(shelf: Shelf) -> None:
    with pytest.raises(CommandError, match="Nothing of the queue typo"):
        give_back(shelf.hub, Output(io.StringIO()), ReturnOptions(queue="typo", all_of_queue=True))


# --- discard ---------------------------------------------------------------------------------------------


def test_a_discarded_letter_is_gone_and_its_version_stays(shelf: Shelf) -> None:
    key, other = shelf.letter(), shelf.letter()
    shown = io.StringIO()

    status = discard(shelf.hub, Output(shown), [key], confirmed=True)

    versions = shelf.hub.client("s3").list_object_versions(Bucket=BUCKET, Prefix=key)["Versions"]
    assert (status, shelf.keys(), len(versions)) == (0, [other], 1)
    assert "until its lifecycle drops them" in shown.getvalue()


def test_a_discard_asks_first(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    key = shelf.letter()
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))

    assert discard(shelf.hub, Output(io.StringIO()), [key], confirmed=False) == 0
    assert shelf.keys() == []


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_any_other_answer_discards_nothing(
    shelf: Shelf, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = shelf.letter()
    monkeypatch.setattr("sys.stdin", Terminal(answer))

    with pytest.raises(CommandError, match="Nothing was deleted"):
        discard(shelf.hub, Output(io.StringIO()), [key], confirmed=False)

    assert shelf.keys() == [key]


def test_without_anybody_to_confirm_nothing_is_discarded(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = shelf.letter()
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))

    with pytest.raises(CommandError, match="nobody is there to confirm"):
        discard(shelf.hub, Output(io.StringIO()), [key], confirmed=False)

    assert shelf.keys() == [key]


def test_what_is_changed_while_it_is_confirmed_is_not_discarded(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = shelf.letter()
    theirs = shelf.read(key).edited("theirs", "somebody", datetime.now(UTC))
    monkeypatch.setattr(discarding, "_confirm", lambda *_: shelf.put(theirs))

    status, document = documented(lambda output: discard(shelf.hub, output, [key], confirmed=False))

    assert (status, document["changedMeanwhile"], shelf.keys()) == (1, [key], [key])


def test_a_discarded_letter_is_not_told_to_be_returned(shelf: Shelf) -> None:
    key = shelf.letter()
    discard(shelf.hub, Output(io.StringIO()), [key], confirmed=True)

    status, letters = returned(shelf, key)

    assert status == 1
    assert "was deleted and never returned" in letters[0]["error"]


# --- start -----------------------------------------------------------------------------------------------


@dataclass
class Executions:
    """Executions that enter states and end."""

    states: tuple[str, ...] = ()
    ending: Finished = field(default_factory=lambda: Finished(f"{MACHINE}:1", "SUCCEEDED", 1.0, {}, "", ""))
    started: list[Mapping[str, Any]] = field(default_factory=list)

    def start(self, document: Mapping[str, Any]) -> str:
        self.started.append(document)
        return self.ending.arn

    def follow(self, _arn: str, entered: Any, waiting: Any) -> Finished:
        for second, name in enumerate(self.states):
            entered(StateEntered(name, float(second)))
            waiting()
        return self.ending


def ended(status: str, output: Any = None, error: str = "", cause: str = "") -> Finished:
    return Finished(f"{MACHINE}:1", status, 1.0, {} if output is None else output, error, cause)


def test_every_state_that_an_execution_can_end_in_has_its_words() -> None:
    definition = REPOSITORY / "statemachines" / "dlq_redrive.asl.json"
    machine = json.loads(definition.read_text(encoding="utf-8"))
    ends = {name for name, state in machine["States"].items() if state["Type"] in ("Succeed", "Fail")}

    assert set(WORDS) == ends


def test_a_start_says_what_is_wanted_and_nothing_else(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    executions = Executions()
    monkeypatch.setattr(workflow, "Executions", lambda *_: executions)
    arn = f"arn:aws:sqs:{REGION}:123456789012:hub-dead"
    output = Output(io.StringIO())

    start(shelf.hub, output, StartOptions(wait=False))
    start(shelf.hub, output, StartOptions("hub-dead", "counted", "work", 2, 50, dry_run=True, wait=False))

    assert executions.started == [
        {"startedBy": "user/operator"},
        {
            "queueArn": arn,
            "mode": "counted",
            "destinationArn": arn.replace("hub-dead", "work"),
            "maxRedrives": 2,
            "maxMessagesPerSecond": 50,
            "dryRun": True,
            "startedBy": "user/operator",
        },
    ]


def test_a_state_that_is_entered_often_has_one_line() -> None:
    shown = io.StringIO()
    states = ("Plan Redrive", *["Wait For The Move Task", "Ask About The Move Task"] * 50, "Redriven")
    pauses: list[float] = []

    ending = follow(Executions(states), "arn:1", Output(shown), pauses.append)  # type: ignore[arg-type]

    assert shown.getvalue().count("Wait For The Move Task") == 1
    assert ending.state == "Redriven"
    assert max(pauses) == 5.0


@pytest.mark.parametrize(
    ("finished", "state", "status", "told"),
    [
        (ended("SUCCEEDED", {}), "Redriven", 0, "✓ Redriven: Everything is on its way"),
        (ended("SUCCEEDED", {}), "Quarantined", 0, "! Quarantined: Some messages wait in quarantine"),
        (ended("SUCCEEDED", {}), "Already Running", 0, "! Already Running: Another redrive"),
        (ended("FAILED", error="InvalidInput", cause="why."), "Redrive Refused", 1, "InvalidInput: why."),
        (ended("ABORTED"), "Redrive Messages", 1, "✗ ABORTED: The redrive ended early"),
    ],
)
def test_an_ending_is_told_in_words(
    shelf: Shelf,
    finished: Finished,
    state: str,
    status: int,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workflow, "Executions", lambda *_: Executions((state,), finished))
    monkeypatch.setattr("time.sleep", lambda _: None)
    shown = io.StringIO()

    assert start(shelf.hub, Output(shown), StartOptions()) == status
    assert told in shown.getvalue()


REPORTS: list[dict[str, Any]] = [
    {"queue": "q1", "outcome": "RETURNED_TO_DLQ", "redriven": 5, "quarantined": 1, "back": 4},
    {"queue": "q2", "outcome": "ALREADY_RUNNING", "execution": f"{MACHINE}:other"},
    {
        "queue": "q3",
        "outcome": "FAILED",
        "error": "Sqs.KmsDisabledException",
        "cause": json.dumps({"Error": "Sqs.KmsDisabledException", "Cause": "The key is off."}),
    },
]
REPORT = {
    "queues": REPORTS,
    "refused": [{"name": "q5", "reason": "No queue names it."}],
    "failed": [{"name": "q4", "error": "QueueGone", "reason": "It is gone."}],
}


@pytest.mark.parametrize(
    ("finished", "state"),
    [
        (ended("SUCCEEDED", REPORT), "Quarantined"),
        (ended("FAILED", error="RedriveFailed", cause=json.dumps(REPORT)), "Redrive Failed"),
    ],
)
def test_each_queue_has_a_row_however_the_redrive_ended(finished: Finished, state: str) -> None:
    shown = io.StringIO()

    show_ending(Ending(finished, state), Output(shown))

    rows = [line.split() for line in shown.getvalue().splitlines()[-5:]]
    outcomes = [[one["queue"], one["outcome"]] for one in REPORTS]
    assert [row[:2] for row in rows] == [*outcomes, ["q4", "NOT_PLANNED"], ["q5", "REFUSED"]]
    assert rows[0][2:5] == ["5", "1", "4"]
    assert rows[1][-1] == "other"
    told = [" ".join(row) for row in rows]
    assert told[2].endswith(" Sqs.KmsDisabledException: The key is off.")
    assert told[3].endswith(" QueueGone: It is gone.")
    assert told[4].endswith(" No queue names it.")


def test_a_failure_is_told_without_what_the_services_wrapped_it_in(shelf: Shelf) -> None:
    of_lambda = json.dumps({"errorType": "RedriveDenied", "errorMessage": "ListQueues was refused."})
    cause = json.dumps({"Error": "RedriveDenied", "Cause": of_lambda})
    shown = io.StringIO()

    ending = Ending(ended("FAILED", error="RedriveNotPlanned", cause=cause), "Redrive Not Planned")
    show_ending(ending, Output(shown))

    assert "  RedriveNotPlanned: RedriveDenied: ListQueues was refused.\n" in shown.getvalue()
    assert ending.document()["cause"] == "RedriveDenied: ListQueues was refused."


def test_a_timeout_that_comes_without_a_cause_is_told(shelf: Shelf) -> None:
    ending = Ending(ended("FAILED", error="RedriveNotPlanned", cause='{"Error":"States.Timeout"}'), None)
    assert ending.document()["cause"] == "States.Timeout"


@pytest.mark.parametrize(
    ("refused", "told"),
    [
        ([], "✓ Nothing To Redrive: No queue holds a message that could be redriven."),
        ([{"name": "q1", "reason": "No queue names it."}], "! Nothing To Redrive: No queue holds"),
    ],
)
def test_an_end_that_left_refused_queues_as_they_are_is_a_warning(
    refused: list[dict[str, str]], told: str
) -> None:
    plan = {"queues": [], "refused": refused, "failed": [], "empty": ["q2"]}
    shown = io.StringIO()

    show_ending(Ending(ended("SUCCEEDED", plan), "Nothing To Redrive"), Output(shown))

    assert shown.getvalue().startswith(told)
    assert ("What lies in queues that were refused stays there." in shown.getvalue()) == bool(refused)
    assert ("No queue names it." in shown.getvalue()) == bool(refused)


def test_a_dry_run_shows_what_would_happen() -> None:
    why = "A message in it is old."
    forecast = {"wouldRedrive": 7, "wouldQuarantine": 2, "reasons": {"TOO_OLD": 2}, "whyCounted": why}
    queue = {"name": "q1", "kind": "sqs", "mode": "counted", "waiting": 9, "oldestSeconds": 60}
    plan = {
        "queues": [{**queue, "forecast": forecast}],
        "refused": [{"name": "q2", "reason": "No."}],
        "failed": [{"name": "q4", "error": "QueueGone", "reason": "It is gone."}],
        "empty": ["q3"],
    }
    shown = io.StringIO()

    show_ending(Ending(ended("SUCCEEDED", plan), "Dry Run Reported"), Output(shown))

    told = shown.getvalue()
    rows = [line.split() for line in told.splitlines()[2:5]]
    assert rows[2][0] == "q4"
    assert " ".join(rows[2]).endswith(" QueueGone: It is gone.")
    assert rows[0] == ["q1", "sqs", "counted", "9", "60", "7", "2", "2", "TOO_OLD"]
    assert (rows[1][0], rows[1][-1]) == ("q2", "No.")
    assert "q1 is redriven one by one. A message in it is old." in told
    assert "Empty: q3" in told


def test_a_stack_without_the_workflow_is_told(hub: DeployedHub) -> None:
    with pytest.raises(CommandError, match="no output RedriveStateMachineArn"):
        start(hub, Output(io.StringIO()), StartOptions())


# --- the command line ------------------------------------------------------------------------------------


def given(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the command line find the hub."""
    monkeypatch.setattr("local.cli.redrive.options.find_hub", lambda *_: shelf.hub)
    monkeypatch.setattr("local.cli.main.forget_foreign_settings", lambda: None)


@pytest.mark.parametrize(
    "words",
    [
        ("redrive", "--json", "return", "--queue", "hub-dead", "--all"),
        ("redrive", "return", "--all", "--json", "--queue", "hub-dead"),
    ],
)
def test_options_stand_before_or_after_what_to_do(
    shelf: Shelf,
    words: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shelf.letter()
    given(shelf, monkeypatch)

    status = main(words)

    assert status == 0
    assert json.loads(capsys.readouterr().out)["letters"][0]["outcome"] == "RETURNED"


def test_a_key_may_follow_an_option(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = [shelf.letter(), shelf.letter()]
    given(shelf, monkeypatch)

    assert main(["redrive", "discard", keys[0], "--yes", keys[1]]) == 0
    assert shelf.keys() == []
    capsys.readouterr()


def test_a_wrong_key_on_the_command_line_is_an_error_without_a_stack_trace(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given(shelf, monkeypatch)

    assert main(["redrive", "show", "runs/x"]) == 1
    assert "Error: 'runs/x' is no key of the quarantine." in capsys.readouterr().err
