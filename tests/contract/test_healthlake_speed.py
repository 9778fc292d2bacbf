"""Loading and exporting keep up with the tests and the demo that stand on them."""

from __future__ import annotations

import time

from local.healthlake.testing import HealthLakeServer

RESOURCES_PER_BUNDLE = 250
BUNDLES = 16
LOADED_PER_SECOND = 2_000
EXPORTED_PER_SECOND = 20_000


def _bundle(number: int) -> bytes:
    entries = [
        b'{"resource":{"resourceType":"Observation","id":"o%d","text":"%s"},'
        b'"request":{"method":"PUT","url":"Observation/o%d"}}' % (index, b"x" * 1200, index)
        for index in range(number * RESOURCES_PER_BUNDLE, (number + 1) * RESOURCES_PER_BUNDLE)
    ]
    return b'{"resourceType":"Bundle","type":"batch","entry":[' + b",".join(entries) + b"]}"


def test_bundles_load_and_exports_write_fast_enough() -> None:
    bundles = [_bundle(number) for number in range(BUNDLES)]
    total = RESOURCES_PER_BUNDLE * BUNDLES
    with HealthLakeServer() as server:
        fhir = server.client()
        began = time.perf_counter()
        for bundle in bundles:
            assert b'"status":"4' not in fhir.send("POST", "", bundle).body
        loaded = time.perf_counter()
        job_id = fhir.start_export().document["jobId"]
        server.service.exports.wait_for(job_id, "COMPLETED")
        exported = time.perf_counter()
        assert sum(body.count(b"\n") for body in server.objects.objects.values()) == total
    assert total / (loaded - began) >= LOADED_PER_SECOND
    assert total / (exported - loaded) >= EXPORTED_PER_SECOND
