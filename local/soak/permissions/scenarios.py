"""What has to happen for a permission to be needed.

A scenario prepares, yields where the permission is taken away, goes on, and returns what one looks at then:
the ARN of an execution, or the answer of a function. Where something is sent on its way it yields that
instead, and ends what it has arranged when it is closed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping

from local.soak.permissions.redrive_scenarios import REDRIVE_SCENARIOS
from local.soak.permissions.shown import Answer, Journey
from local.soak.permissions.stage import Stage
from local.soak.permissions.stream_scenarios import STREAM_SCENARIOS
from local.soak.permissions.upload_scenarios import UPLOAD_SCENARIOS

Scenario = Callable[[Stage], Generator[Journey | None, None, str | Answer | None]]

_ANOTHER = "-another"
_RULE = "CleanUpFailedRunFunctionExecutionEnded"


def an_ordinary_run(stage: Stage) -> Generator[None, None, str]:
    """An incremental run with a change to publish and earlier ones to recognise."""
    stage.change_a_patient()
    yield
    return stage.start()


def a_failed_job(stage: Stage) -> Generator[None, None, str]:
    """HealthLake ends the export job as FAILED."""
    stage.change_a_patient()
    stage.fault("fail-next-job")
    yield
    return stage.start()


def a_refused_start(stage: Stage) -> Generator[None, None, str]:
    """HealthLake refuses to start the job, for good."""
    stage.change_a_patient()
    action = "StartFHIRExportJobWithPost"
    stage.fault("refuse", calls=1, status=400, name="ValidationException", action=action)
    yield
    return stage.start()


def a_busy_healthlake(stage: Stage) -> Generator[None, None, str]:
    """HealthLake throttles the first try to start the job."""
    stage.change_a_patient()
    stage.fault("throttle", calls=1, action="StartFHIRExportJobWithPost")
    yield
    return stage.start()


def checks_without_events(stage: Stage) -> Generator[None, None, str]:
    """A job that runs for seconds, of which no event arrives: only the chain of checks ends the wait."""
    stage.change_a_patient()
    stage.fault("drop-events", count=100)
    stage.fault("slow-next-job", seconds=4)
    yield
    return stage.start()


def an_error_file(stage: Stage) -> Generator[None, None, str]:
    """HealthLake could not export a resource."""
    stage.change_a_patient()
    stage.fault("errors-in-next-job", resources=[{"resourceType": "Patient", "id": "soaked"}])
    yield
    return stage.start()


def a_line_of_40_mb(stage: Stage) -> Generator[None, None, str]:
    """An exported file has a line that is too long to be read: it is copied into quarantine in parts."""
    stage.change_a_patient()
    with stage.deaf_checks():
        arn = stage.start()
        stage.wait_until(lambda: stage.exported_keys(arn))
        stage.append(stage.exported_keys(arn)[0], b'{"x":"' + b"x" * 40_000_000 + b'"}\n')
        yield
    return arn


def a_full_run(stage: Stage) -> Generator[None, None, str]:
    """Everything is exported, more than the bound on events can be sure to hold."""
    stage.change_a_patient()
    yield
    return stage.start({"full": True})


def a_stopped_execution(stage: Stage) -> Generator[None, None, str]:
    """An execution is stopped while its job runs: the rule on status changes cleans up."""
    arn = stage.start_and_hold()
    yield
    stage.stop(arn)
    return arn


def a_stopped_execution_that_nothing_cleans_up(stage: Stage) -> Generator[None, None, str]:
    """The rule did not fire: the next check finds that nobody waits."""
    stage.fault("drop-events", count=100)
    events = stage.client("events")
    rule = stage.physical_name(_RULE).rsplit("/", 1)[-1]
    arn = stage.start_and_hold()
    yield
    events.disable_rule(Name=rule)
    try:
        stage.stop(arn)
        stage.wait_until(lambda: not _job_runs(stage) or _seen_to_be_abandoned(stage, arn), 20)
    finally:
        events.enable_rule(Name=rule)
    return arn


def two_runs_at_once(stage: Stage) -> Generator[None, None, str]:
    """A run finds the lock held by one that is alive."""
    stage.start_and_hold()
    yield
    return stage.start()


def a_start_of_a_run_that_lost_the_lock(stage: Stage) -> Generator[None, None, str]:
    """The start message is delivered again after another run took the lock over, with the job still there."""
    arn = stage.start_and_hold()
    run = stage.state_input(arn, "Wait For Export")["run"]
    message = {"run": run, "taskToken": stage.state()["taskToken"], "delay": 0}
    queue = _start_queue(stage)
    yield
    stage.give_lock_to(arn + _ANOTHER)
    stage.client("sqs").send_message(QueueUrl=queue, MessageBody=json.dumps(message))
    return arn


def a_lost_answer(stage: Stage) -> Generator[None, None, Answer]:
    """The last write of a run is tried again, though it was made: its answer was lost."""
    stage.change_a_patient()
    arn = stage.start()
    stage.wait_until(lambda: stage.describe(arn)["status"] != "RUNNING")
    given = stage.state_input(arn, "Advance Watermark")
    yield
    answer = stage.client("lambda").invoke(
        FunctionName=stage.functions()["AdvanceWatermarkFunction"], Payload=json.dumps(given).encode()
    )
    return Answer("FunctionError" in answer, answer["Payload"].read().decode())


def is_another(owner: str) -> bool:
    """Whether an owner of the lock is one that a scenario made up."""
    return owner.endswith(_ANOTHER)


def _start_queue(stage: Stage) -> str:
    configuration = stage.client("lambda").get_function_configuration(
        FunctionName=stage.functions()["StartExportFunction"]
    )
    url: str = configuration["Environment"]["Variables"]["START_QUEUE_URL"]
    return url


def _job_runs(stage: Stage) -> bool:
    jobs = stage.client("healthlake").list_fhir_export_jobs(
        DatastoreId=stage.outputs["DatastoreId"], JobStatus="IN_PROGRESS"
    )
    return bool(jobs["ExportJobPropertiesList"])


def _seen_to_be_abandoned(stage: Stage, arn: str) -> bool:
    stopped = stage.describe(arn)["stopDate"]
    return "is not allowed" in stage.logged(stage.log_groups(), int(stopped.timestamp() * 1000))


SCENARIOS: Mapping[str, Scenario] = {
    "an ordinary run": an_ordinary_run,
    "a failed job": a_failed_job,
    "a refused start": a_refused_start,
    "a busy HealthLake": a_busy_healthlake,
    "checks without events": checks_without_events,
    "an error file": an_error_file,
    "a line of 40 MB": a_line_of_40_mb,
    "a full run": a_full_run,
    "a stopped execution": a_stopped_execution,
    "a stopped execution that nothing cleans up": a_stopped_execution_that_nothing_cleans_up,
    "two runs at once": two_runs_at_once,
    "a start of a run that lost the lock": a_start_of_a_run_that_lost_the_lock,
    "a lost answer": a_lost_answer,
    **REDRIVE_SCENARIOS,
    **STREAM_SCENARIOS,
    **UPLOAD_SCENARIOS,
}
