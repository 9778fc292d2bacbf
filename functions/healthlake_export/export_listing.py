"""What an export job wrote: its manifest and the objects under its prefix, which must agree."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from healthlake_export.byte_ranges import ExportedObject
from healthlake_export.errors import ManifestMismatch

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class ExportedFiles:
    """The objects of a job: files of resources, and files about resources that could not be exported."""

    resources: tuple[ExportedObject, ...]
    errors: tuple[ExportedObject, ...]


def job_prefix(run_id: str, datastore_id: str, job_id: str) -> str:
    """The prefix under which HealthLake writes a job that exports to `exports/<runId>/`.

    Follows the AWS HealthLake Developer Guide, «Exporting FHIR data».
    """
    return f"exports/{run_id}/{datastore_id}-FHIR_EXPORT-{job_id}/"


def list_objects(s3: S3Client, bucket: str, prefix: str) -> list[ExportedObject]:
    """Every object under `prefix`, without the empty ones that stand for folders."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [
        ExportedObject(entry["Key"], entry["Size"], entry["ETag"])
        for page in pages
        for entry in page.get("Contents", [])
        if not entry["Key"].endswith("/")
    ]


def match_manifest(
    listed: Iterable[ExportedObject], output: Iterable[str], errors: Iterable[str], bucket: str
) -> ExportedFiles:
    """The listed objects, sorted out by the manifest's URLs.

    Raises `ManifestMismatch`, naming a key, unless manifest and listing name the same objects.
    """
    objects = {exported.key: exported for exported in listed}
    resource_keys = _keys(output, bucket)
    error_keys = _keys(errors, bucket)
    named = set(resource_keys) | set(error_keys)
    _require_none(named - objects.keys(), "the manifest names, and S3 does not have")
    _require_none(objects.keys() - named, "S3 has, and the manifest does not name")
    _require_none(set(resource_keys) & set(error_keys), "the manifest names as resources and as errors")
    return ExportedFiles(
        resources=tuple(objects[key] for key in resource_keys),
        errors=tuple(objects[key] for key in error_keys),
    )


def key_of_url(url: str, bucket: str) -> str:
    """The object key in a URL of the manifest: `s3://` or one of S3's `https://` forms.

    Raises `ManifestMismatch` when it is in another bucket than `bucket`.
    """
    parts = urlsplit(url, allow_fragments=False)
    path = parts.path.removeprefix("/")
    if parts.scheme == "s3":
        found, key = parts.netloc, path
    elif parts.netloc.startswith(f"{bucket}.s3"):
        found, key = bucket, unquote(path)
    else:
        found, _, key = unquote(path).partition("/")
    if found != bucket:
        raise ManifestMismatch("The manifest names an object in another bucket than the export's.")
    return key


def _keys(urls: Iterable[str], bucket: str) -> list[str]:
    return sorted({key_of_url(url, bucket) for url in urls})


def _require_none(keys: set[str], what: str) -> None:
    if keys:
        raise ManifestMismatch(f"There are {len(keys)} objects that {what}; the first is {min(keys)}.")
