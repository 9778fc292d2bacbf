from __future__ import annotations

import pytest

from healthlake_export.byte_ranges import ExportedObject
from healthlake_export.errors import ManifestMismatch
from healthlake_export.export_listing import ExportedFiles, job_prefix, key_of_url, match_manifest

BUCKET = "hub-bucket"
PREFIX = "exports/run-1/store-FHIR_EXPORT-job/"
PATIENTS = ExportedObject(PREFIX + "Patient/Patient-0-0-0.ndjson", 10, '"a"')
DEVICES = ExportedObject(PREFIX + "Device/Device-0-0-0.ndjson", 20, '"b"')
ERRORS = ExportedObject(PREFIX + "errors/Patient-0.ndjson", 5, '"c"')


def url(exported: ExportedObject) -> str:
    return f"s3://{BUCKET}/{exported.key}"


def test_listing_and_manifest_that_agree_give_the_files_by_kind() -> None:
    files = match_manifest([ERRORS, PATIENTS, DEVICES], [url(PATIENTS), url(DEVICES)], [url(ERRORS)], BUCKET)
    assert files == ExportedFiles(resources=(DEVICES, PATIENTS), errors=(ERRORS,))


def test_an_export_of_nothing_has_no_files() -> None:
    assert match_manifest([], [], [], BUCKET) == ExportedFiles((), ())


def test_an_object_that_s3_does_not_have_is_a_mismatch_that_names_it() -> None:
    with pytest.raises(ManifestMismatch, match=f"S3 does not have; the first is {DEVICES.key}"):
        match_manifest([PATIENTS], [url(PATIENTS), url(DEVICES)], [], BUCKET)


def test_an_object_that_the_manifest_does_not_name_is_a_mismatch_that_names_it() -> None:
    with pytest.raises(ManifestMismatch, match=f"the manifest does not name; the first is {DEVICES.key}"):
        match_manifest([PATIENTS, DEVICES], [url(PATIENTS)], [], BUCKET)


def test_an_error_file_that_is_missing_is_a_mismatch() -> None:
    with pytest.raises(ManifestMismatch, match=ERRORS.key):
        match_manifest([PATIENTS], [url(PATIENTS)], [url(ERRORS)], BUCKET)


def test_a_file_cannot_be_resources_and_errors() -> None:
    with pytest.raises(ManifestMismatch, match="as resources and as errors"):
        match_manifest([PATIENTS], [url(PATIENTS)], [url(PATIENTS)], BUCKET)


def test_a_file_named_twice_is_one_file() -> None:
    assert match_manifest([PATIENTS], [url(PATIENTS)] * 2, [], BUCKET).resources == (PATIENTS,)


@pytest.mark.parametrize(
    "found",
    [
        f"s3://{BUCKET}/exports/run-1/Patient/p%201.ndjson",
        f"https://{BUCKET}.s3.us-east-1.amazonaws.com/exports/run-1/Patient/p%25201.ndjson",
        f"https://s3.us-east-1.amazonaws.com/{BUCKET}/exports/run-1/Patient/p%25201.ndjson",
    ],
)
def test_every_form_of_an_s3_url_gives_the_key(found: str) -> None:
    assert key_of_url(found, BUCKET) == "exports/run-1/Patient/p%201.ndjson"


def test_an_object_in_another_bucket_is_a_mismatch() -> None:
    with pytest.raises(ManifestMismatch, match="another bucket"):
        key_of_url("s3://other/exports/run-1/Patient/p.ndjson", BUCKET)


def test_the_prefix_of_a_job_is_the_one_that_healthlake_documents() -> None:
    assert job_prefix("run-1", "store", "job") == PREFIX
