"""What a restart of the local account keeps: datastores, resources and jobs are on disk."""

from __future__ import annotations

from pathlib import Path

from local.healthlake.testing import HealthLakeServer
from local.testing.patience import PATIENCE_SECONDS


def test_datastores_resources_and_jobs_survive(tmp_path: Path) -> None:
    with HealthLakeServer(directory=tmp_path, pace=None) as server:
        datastore = server.create_datastore("records")
        fhir = server.client(datastore)
        fhir.put("Patient", "p1")
        ended = fhir.start_export().document["jobId"]
        while server.step():
            pass
    with HealthLakeServer(directory=tmp_path, pace=None) as server:
        found = server.service.catalog.get(datastore.datastore_id)
        assert found.endpoint.startswith(server.url)
        fhir = server.client(found)
        assert fhir.send("GET", "Patient/p1").status == 200
        document = fhir.send("GET", f"export/{ended}").document
        assert document["exportJobProperties"]["jobStatus"] == "COMPLETED"
        assert len(document["output"]) == 1


def test_jobs_that_were_under_way_go_on(tmp_path: Path) -> None:
    with HealthLakeServer(directory=tmp_path, pace=None) as server:
        datastore = server.create_datastore()
        fhir = server.client(datastore)
        fhir.put("Patient", "p1")
        jobs = [fhir.start_export().document["jobId"] for _ in range(2)]
        server.step()
    with HealthLakeServer(directory=tmp_path) as server:
        for job_id in jobs:
            server.service.exports.wait_for(job_id, "COMPLETED", timeout=PATIENCE_SECONDS)
        assert len(server.objects.objects) == 2
