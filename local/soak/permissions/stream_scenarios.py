"""What has to happen for a permission of the streams of records to be needed: a record is written.

As in `scenarios`, but what is looked at is on its way to HealthLake, to the lake, or to where what fails is
kept.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping

from local.soak.permissions.dead_letters import DeadLetters
from local.soak.permissions.shown import Journey
from local.soak.permissions.stage import Stage
from local.soak.permissions.stream_stage import LAKE_PIPE, RECORDS_PIPE, StreamStage

StreamScenario = Callable[[Stage], Generator[Journey | None, None, str | None]]
Steps = Generator[Journey | None, None, None]

_PATIENT, _ADDRESS, _VALUE = "PATIENT", "ADDRESS#1", "MEASUREMENT#1"
_NOBODY = "Nobody"
_RECORDS_QUEUE, _LAKE_QUEUE = "RecordsPipeDeadLetterQueue", "LakeRowsPipeDeadLetterQueue"
_ENRICHES, _MAKES_ROWS = "EnrichChanges", "PrepareLakeRows"
# JSON makes six bytes of each, and seven of it once more in the text of a row: Firehose takes no such row.
_LARGE = "\x01" * 210_000


def a_change_of_a_patient(stage: Stage) -> Steps:
    """A person who was not known is recorded: the resource is made of several items."""
    streams = StreamStage(stage)
    yield None
    streams.put(_PATIENT, "Patient", familyName="Soaked")
    yield Journey(lambda: streams.resource(_PATIENT, "Patient"))


def a_change_of_an_address(stage: Stage) -> Steps:
    """A person gets an address."""
    streams = StreamStage(stage)
    streams.put(_PATIENT, "Patient", familyName="Soaked")
    stage.wait_until(lambda: streams.resource(_PATIENT, "Patient"))
    yield None
    streams.put(_ADDRESS, "Address", city="Musterstadt")
    yield Journey(lambda: "address" in streams.resource(_PATIENT, "Patient"))


def a_change_of_a_measurement(stage: Stage) -> Steps:
    """A value is measured."""
    streams = StreamStage(stage)
    yield None
    streams.put(_VALUE, "Measurement", code="8310-5")
    yield Journey(lambda: streams.resource(_VALUE, "Measurement"))


def a_record_that_is_deleted(stage: Stage) -> Steps:
    """The resource of a record goes with it."""
    streams = StreamStage(stage)
    streams.put(_VALUE, "Measurement", code="8310-5")
    stage.wait_until(lambda: streams.resource(_VALUE, "Measurement"))
    yield None
    streams.delete(_VALUE)
    yield Journey(lambda: streams.resource(_VALUE, "Measurement") is None)


def a_record_that_makes_no_resource(stage: Stage) -> Steps:
    """A value that was measured lacks what it is of: the write is put away."""
    streams = StreamStage(stage)
    yield None
    streams.put(_VALUE, "Measurement")
    yield Journey(lambda: streams.kept("quarantine/fhir-writes/"))


def a_large_change(stage: Stage) -> Steps:
    """A record has more than an event can carry."""
    streams = StreamStage(stage)
    yield None
    streams.put(_PATIENT, "Patient", note=_LARGE)
    yield Journey(lambda: streams.resource(_PATIENT, "Patient"))


def a_record_of_no_declared_type(stage: Stage) -> Steps:
    """Nothing can be made of a record: it is put away."""
    streams = StreamStage(stage)
    yield None
    streams.put(_PATIENT, _NOBODY)
    yield Journey(lambda: streams.kept("quarantine/records/"))


def a_row_of_the_lake(stage: Stage) -> Steps:
    """A record becomes a row; what Firehose has put below its error prefix meanwhile is brought back."""
    streams = StreamStage(stage)
    yield None
    streams.put(_VALUE, "Measurement", code="8310-5")
    yield Journey(streams.rows, again=streams.reingest)


def a_large_row(stage: Stage) -> Steps:
    """A row is larger than Firehose takes."""
    streams = StreamStage(stage)
    yield None
    streams.put(_VALUE, "Measurement", code="8310-5", note=_LARGE)
    yield Journey(streams.rows, again=streams.reingest)


def large_rows_that_no_answer_has_room_for(stage: Stage) -> Steps:
    """Three large rows come at once: one goes back into the delivery stream."""
    streams, keys = StreamStage(stage), [f"MEASUREMENT#{number}" for number in range(3)]
    yield None
    with streams.stopped_pipe(LAKE_PIPE):
        streams.put_at_once(keys, "Measurement", code="8310-5", note=_LARGE)
    yield Journey(lambda: streams.rows() == len(keys), again=streams.reingest)


def a_row_that_is_none(stage: Stage) -> Steps:
    """No row can be made of a record: Firehose puts it below its error prefix."""
    streams = StreamStage(stage)
    yield None
    streams.put(_PATIENT, _NOBODY)
    yield Journey(lambda: streams.failed_rows(streams.id))


def a_large_row_that_is_none(stage: Stage) -> Steps:
    """Such a record is larger than Firehose takes: below the error prefix lies where it was put away."""
    streams = StreamStage(stage)
    yield None
    streams.put(_PATIENT, _NOBODY, note=_LARGE)
    yield Journey(lambda: any(streams.failed_rows(key) for key in streams.keys("quarantine/records/")))


def a_change_that_its_pipe_gives_up(stage: Stage) -> Steps:
    """The function that enriches dies of a record: the pipe keeps where that stands."""
    return _given_up(stage, RECORDS_PIPE, _RECORDS_QUEUE, _ENRICHES)


def a_row_that_its_pipe_gives_up(stage: Stage) -> Steps:
    """The function that makes rows dies of a record: the other pipe keeps where that stands."""
    return _given_up(stage, LAKE_PIPE, _LAKE_QUEUE, _MAKES_ROWS)


def a_redrive_of_a_change(stage: Stage) -> Generator[None, None, str]:
    """What the pipe to the bus gave up is read again and put on the bus."""
    _give_up(stage, RECORDS_PIPE, _RECORDS_QUEUE, _ENRICHES)
    yield
    return DeadLetters(stage).redrive(_RECORDS_QUEUE)


def a_redrive_of_a_row(stage: Stage) -> Generator[None, None, str]:
    """What the pipe to the lake gave up is read again and put into the delivery stream."""
    _give_up(stage, LAKE_PIPE, _LAKE_QUEUE, _MAKES_ROWS)
    yield
    return DeadLetters(stage).redrive(_LAKE_QUEUE)


def _given_up(stage: Stage, pipe: str, queue: str, function: str) -> Steps:
    """What is given up while the permission is missing stands nowhere; a second record does."""
    streams = StreamStage(stage)
    with streams.impatient_pipe(pipe), streams.dying(function):
        yield None
        streams.put(_PATIENT, "Patient", familyName="Given up")
        yield Journey(
            lambda: streams.streams.messages(queue),
            again=lambda: streams.put(_PATIENT, "Patient", familyName="Given up, too"),
        )


def _give_up(stage: Stage, pipe: str, queue: str, function: str) -> None:
    """Let a record stand in a pipe's dead-letter queue."""
    streams = StreamStage(stage)
    with streams.impatient_pipe(pipe), streams.dying(function):
        streams.put(_PATIENT, "Patient", familyName="Given up")
        stage.wait_until(lambda: streams.streams.messages(queue))


STREAM_SCENARIOS: Mapping[str, StreamScenario] = {
    "a change of a patient": a_change_of_a_patient,
    "a change of an address": a_change_of_an_address,
    "a change of a measurement": a_change_of_a_measurement,
    "a record that is deleted": a_record_that_is_deleted,
    "a record that makes no resource": a_record_that_makes_no_resource,
    "a large change": a_large_change,
    "a record of no declared type": a_record_of_no_declared_type,
    "a row of the lake": a_row_of_the_lake,
    "a large row": a_large_row,
    "large rows that no answer has room for": large_rows_that_no_answer_has_room_for,
    "a row that is none": a_row_that_is_none,
    "a large row that is none": a_large_row_that_is_none,
    "a change that its pipe gives up": a_change_that_its_pipe_gives_up,
    "a row that its pipe gives up": a_row_that_its_pipe_gives_up,
    "a redrive of a change": a_redrive_of_a_change,
    "a redrive of a row": a_redrive_of_a_row,
}
