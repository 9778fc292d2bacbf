"""The client of HealthLake's `$export`, against answers that a session makes up."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import botocore.session
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError
from botocore.parsers import ResponseParserError

from common import healthlake_http
from healthlake_export.errors import HealthLakeBusy, HealthLakeRefused
from healthlake_export.fhir_export_api import ExportJob, ExportRequest, FhirExportApi

STORE = "0123456789abcdef0123456789abcdef"
MARK = "Jane-Example-1970"
REQUEST = ExportRequest(
    job_name="run-1",
    output_uri="s3://hub-bucket/exports/run-1/",
    kms_key_arn="arn:aws:kms:us-east-1:000000000000:key/k",
    data_access_role_arn="arn:aws:iam::000000000000:role/data-access",
    since="2026-11-20T10:00:00.000+01:00",
    until=None,
    types=("Patient", "Observation"),
)


class Answers:
    """An HTTP session that gives one answer after the other and keeps what was asked."""

    def __init__(self) -> None:
        self.next: list[tuple[int, bytes] | Exception] = []
        self.asked: list[Any] = []

    def send(self, request: Any) -> Any:
        self.asked.append(request)
        answer = self.next.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(status_code=answer[0], content=answer[1], headers={})

    def give(self, status: int, content: Any = None) -> None:
        text = content if isinstance(content, bytes) else json.dumps(content or {}).encode()
        self.next.append((status, text))


class Jobs:
    """ListFHIRExportJobs, page by page. A page can be an error."""

    def __init__(self, endpoint: str = "https://healthlake.us-east-1.amazonaws.com/") -> None:
        self.meta = SimpleNamespace(endpoint_url=endpoint, region_name="us-east-1")
        self.pages: list[list[dict[str, Any]] | Exception] = []
        self.asked: list[dict[str, Any]] = []

    def list_fhir_export_jobs(self, **request: Any) -> dict[str, Any]:
        self.asked.append(request)
        page = self.pages[len(self.asked) - 1]
        if isinstance(page, Exception):
            raise page
        token = {"NextToken": f"after {len(self.asked)}"} if len(self.asked) < len(self.pages) else {}
        return {"ExportJobPropertiesList": page, **token}


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    session = Answers()
    monkeypatch.setattr(healthlake_http, "URLLib3Session", lambda **_: session)
    return session


@pytest.fixture
def jobs() -> Jobs:
    return Jobs()


def api_of(jobs: Jobs) -> FhirExportApi:
    session = botocore.session.get_session()
    session.set_credentials("AKIAIOSFODNN7EXAMPLE", "secret")
    return FhirExportApi(session, cast(Any, jobs), STORE)


@pytest.fixture
def api(answers: Answers, jobs: Jobs) -> FhirExportApi:
    return api_of(jobs)


Ask = Callable[[FhirExportApi], object]
OPERATIONS: dict[str, Ask] = {
    "POST $export": lambda api: api.start(REQUEST),
    "GET export": lambda api: api.describe("job-1"),
    "DELETE export": lambda api: api.cancel("job-1"),
}
every_operation = pytest.mark.parametrize(("name", "ask"), OPERATIONS.items(), ids=list(OPERATIONS))


@pytest.mark.parametrize("status", [200, 202])
def test_an_accepted_start_gives_the_id_of_the_job(api: FhirExportApi, answers: Answers, status: int) -> None:
    answers.give(status, {"jobId": "job-1"})
    assert api.start(REQUEST) == "job-1"


def test_a_start_is_a_signed_request_of_what_the_run_asks(api: FhirExportApi, answers: Answers) -> None:
    answers.give(202, {"jobId": "job-1"})
    api.start(REQUEST)
    (asked,) = answers.asked
    url = urlsplit(asked.url)
    assert (asked.method, url.netloc) == ("POST", "healthlake.us-east-1.amazonaws.com")
    assert url.path == f"/datastore/{STORE}/r4/$export"
    assert "/us-east-1/healthlake/aws4_request" in asked.headers["Authorization"]
    assert json.loads(asked.body) == {
        "JobName": "run-1",
        "OutputDataConfig": {
            "S3Configuration": {"S3Uri": REQUEST.output_uri, "KmsKeyId": REQUEST.kms_key_arn}
        },
        "DataAccessRoleArn": REQUEST.data_access_role_arn,
    }


def test_the_window_and_the_types_are_encoded_to_the_last_character() -> None:
    query = REQUEST.query()
    assert query == "_since=2026-11-20T10%3A00%3A00.000%2B01%3A00&_type=Patient%2CObservation"
    assert parse_qs(query) == {"_since": [REQUEST.since], "_type": ["Patient,Observation"]}


def test_a_space_is_encoded_as_signatures_have_it() -> None:
    spaced = ExportRequest("run-1", "s3://b/", "key", "role", "2026-11-20 10:00", None, ())
    assert spaced.query() == "_since=2026-11-20%2010%3A00"


def test_what_a_run_does_not_limit_is_not_asked_for(api: FhirExportApi, answers: Answers) -> None:
    everything = ExportRequest("run-1", "s3://b/", "key", "role", since=None, until=None, types=())
    assert everything.query() == ""
    answers.give(202, {"jobId": "job-1"})
    api.start(everything)
    assert answers.asked[0].url.endswith("/$export")


def test_until_is_asked_for_as_since_is() -> None:
    replay = ExportRequest("run-1", "s3://b/", "key", "role", "2026-11-01T00:00:00Z", "2026-11-02", ())
    assert parse_qs(replay.query()) == {"_since": ["2026-11-01T00:00:00Z"], "_until": ["2026-11-02"]}


@every_operation
@pytest.mark.parametrize("status", [400, 401, 404, 422, 301, 204])
def test_an_answer_that_no_retry_changes_is_a_refusal(
    api: FhirExportApi, answers: Answers, name: str, ask: Ask, status: int
) -> None:
    answers.give(status, {"message": MARK})
    with pytest.raises(HealthLakeRefused) as refused:
        ask(api)
    assert str(refused.value) == f"HealthLake answered {name} with {status}."


@every_operation
def test_a_refusal_for_lack_of_a_permission_names_the_action_that_the_answer_names(
    api: FhirExportApi, answers: Answers, name: str, ask: Ask
) -> None:
    answers.give(403, {"message": f"User: {MARK} is not authorized to perform: iam:PassRole on {MARK}"})
    with pytest.raises(HealthLakeRefused) as refused:
        ask(api)
    assert str(refused.value) == (
        f"HealthLake answered {name} with 403. The action iam:PassRole is not allowed."
    )


@every_operation
def test_a_refusal_that_names_no_action_names_the_one_of_the_call(
    api: FhirExportApi, answers: Answers, name: str, ask: Ask
) -> None:
    answers.give(403, {"message": MARK})
    with pytest.raises(HealthLakeRefused) as refused:
        ask(api)
    action = {"POST": "StartFHIRExportJobWithPost", "GET": "DescribeFHIRExportJobWithGet"}.get(
        name.split()[0], "CancelFHIRExportJobWithDelete"
    )
    assert str(refused.value) == f"HealthLake answered {name} with 403. It needs healthlake:{action}."


@every_operation
@pytest.mark.parametrize("status", [408, 409, 423, 425, 429, 500, 502, 503, 504])
def test_an_answer_that_may_change_is_worth_another_try(
    api: FhirExportApi, answers: Answers, name: str, ask: Ask, status: int
) -> None:
    answers.give(status, {"message": MARK})
    with pytest.raises(HealthLakeBusy) as busy:
        ask(api)
    assert str(busy.value) == f"HealthLake answered {name} with {status}."


@every_operation
@pytest.mark.parametrize(
    "content",
    [f"<html>{MARK}</html>".encode(), b"[]", b'"jobId"', b"\xff", b"[" * 100_000],
    ids=["HTML", "a list", "a text", "no UTF-8", "too deep"],
)
def test_an_answer_that_is_no_json_object_is_worth_another_try(
    api: FhirExportApi, answers: Answers, name: str, ask: Ask, content: bytes
) -> None:
    answers.give(200, content)
    with pytest.raises(HealthLakeBusy) as busy:
        ask(api)
    assert str(busy.value) == f"HealthLake answered {name} with something that is not a JSON object."
    assert busy.value.__context__ is None


@every_operation
@pytest.mark.parametrize(
    "error",
    [EndpointConnectionError(endpoint_url=MARK), ConnectTimeoutError(endpoint_url=MARK)],
    ids=["no connection", "no answer"],
)
def test_a_connection_that_fails_is_worth_another_try(
    api: FhirExportApi, answers: Answers, name: str, ask: Ask, error: Exception
) -> None:
    answers.next.append(error)
    with pytest.raises(HealthLakeBusy) as busy:
        ask(api)
    assert str(busy.value) == f"HealthLake could not be reached: {type(error).__name__}."
    assert busy.value.__context__ is None


def test_a_port_that_nobody_listens_on_is_worth_another_try() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        api = api_of(Jobs(f"http://127.0.0.1:{taken.getsockname()[1]}"))
        with pytest.raises(HealthLakeBusy, match="could not be reached: EndpointConnectionError"):
            api.describe("job-1")


@pytest.mark.parametrize("answer", [{}, {"jobId": ""}, {"jobId": 7}])
def test_a_start_without_a_job_id_is_worth_another_try(
    api: FhirExportApi, answers: Answers, answer: dict[str, Any]
) -> None:
    answers.give(200, answer)
    with pytest.raises(HealthLakeBusy, match="without a job id"):
        api.start(REQUEST)


def test_a_job_is_described_with_its_manifest(api: FhirExportApi, answers: Answers) -> None:
    answers.give(
        200,
        {
            "exportJobProperties": {"jobStatus": "COMPLETED"},
            "output": [{"type": "Patient", "url": "s3://b/p"}, {"type": "Device", "url": "s3://b/d"}],
            "error": [{"type": "OperationOutcome", "url": "s3://b/e"}],
        },
    )
    assert api.describe("job-1") == ExportJob("job-1", "COMPLETED", ("s3://b/p", "s3://b/d"), ("s3://b/e",))
    (asked,) = answers.asked
    assert (asked.method, urlsplit(asked.url).path) == ("GET", f"/datastore/{STORE}/r4/export/job-1")


@pytest.mark.parametrize("answer", [{}, {"exportJobProperties": {}}, {"exportJobProperties": "COMPLETED"}])
def test_a_description_without_a_status_is_worth_another_try(
    api: FhirExportApi, answers: Answers, answer: dict[str, Any]
) -> None:
    answers.give(200, answer)
    with pytest.raises(HealthLakeBusy, match="without a status"):
        api.describe("job-1")


def test_a_manifest_may_be_missing_and_its_entries_are_those_with_a_url(
    api: FhirExportApi, answers: Answers
) -> None:
    answers.give(200, {"jobStatus": "COMPLETED", "output": [{"url": 1}, "s3://b/x", {"url": "s3://b/p"}]})
    assert api.describe("job-1") == ExportJob("job-1", "COMPLETED", ("s3://b/p",), ())


def test_a_job_is_cancelled_by_its_id(api: FhirExportApi, answers: Answers) -> None:
    answers.give(202, b"")
    api.cancel("job-1")
    (asked,) = answers.asked
    assert (asked.method, urlsplit(asked.url).path) == ("DELETE", f"/datastore/{STORE}/r4/export/job-1")


def job(job_id: str, minute: int) -> dict[str, Any]:
    return {"JobId": job_id, "SubmitTime": datetime(2026, 11, 20, 10, minute, tzinfo=UTC)}


def test_the_newest_of_several_jobs_of_a_name_is_found_on_whatever_page(
    api: FhirExportApi, jobs: Jobs
) -> None:
    jobs.pages = [[job("first", 1), job("third", 3)], [job("newest", 9)], [job("second", 2)]]
    assert api.find("run-1") == "newest"
    assert jobs.asked == [
        {"DatastoreId": STORE, "JobName": "run-1"},
        {"DatastoreId": STORE, "JobName": "run-1", "NextToken": "after 1"},
        {"DatastoreId": STORE, "JobName": "run-1", "NextToken": "after 2"},
    ]


def test_no_job_of_a_name_is_none(api: FhirExportApi, jobs: Jobs) -> None:
    jobs.pages = [[]]
    assert api.find("run-1") is None


def refusal(code: str, status: int) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": MARK}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "ListFHIRExportJobs")


@pytest.mark.parametrize(
    "error",
    [
        refusal("ThrottlingException", 400),
        refusal("TooManyRequests", 429),
        refusal("InternalServerException", 500),
        EndpointConnectionError(endpoint_url=MARK),
        ResponseParserError(MARK),
        AttributeError(MARK),
    ],
)
def test_a_search_that_failed_for_now_is_worth_another_try(
    api: FhirExportApi, jobs: Jobs, error: Exception
) -> None:
    jobs.pages = [[job("first", 1)], error]
    with pytest.raises(HealthLakeBusy, match="answered ListFHIRExportJobs with") as busy:
        api.find("run-1")
    assert MARK not in str(busy.value)
    assert busy.value.__context__ is None


@pytest.mark.parametrize("page", [{}, {"message": MARK}, {"ExportJobPropertiesList": [{"JobId": MARK}]}])
def test_a_search_answered_with_something_else_is_worth_another_try(
    api: FhirExportApi, jobs: Jobs, monkeypatch: pytest.MonkeyPatch, page: dict[str, Any]
) -> None:
    monkeypatch.setattr(jobs, "list_fhir_export_jobs", lambda **_: page)
    with pytest.raises(HealthLakeBusy) as busy:
        api.find("run-1")
    assert str(busy.value) == "HealthLake answered ListFHIRExportJobs with something that is no list of jobs."


@pytest.mark.parametrize("code", ["AccessDeniedException", "ResourceNotFoundException"])
def test_a_search_that_is_refused_for_good_is_a_refusal(api: FhirExportApi, jobs: Jobs, code: str) -> None:
    jobs.pages = [refusal(code, 400)]
    with pytest.raises(HealthLakeRefused, match=f"answered ListFHIRExportJobs with {code}"):
        api.find("run-1")


def test_without_credentials_nothing_is_sent(answers: Answers, jobs: Jobs) -> None:
    session = SimpleNamespace(get_credentials=lambda: None)
    with pytest.raises(HealthLakeRefused, match="no AWS credentials"):
        FhirExportApi(cast(Any, session), cast(Any, jobs), STORE).describe("job-1")
    assert answers.asked == []
