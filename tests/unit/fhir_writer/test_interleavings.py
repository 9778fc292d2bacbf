"""Whatever the order of deliveries, deaths and lost answers, HealthLake ends up as the records are."""

from __future__ import annotations

import pytest

from local.testing.fhir_writer_lab import Lab


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_DISABLED", "true")


@pytest.mark.parametrize(("changes", "troubles"), [(25, 0.15), (8, 0.15), (5, 0.5)])
def test_the_last_state_of_every_resource_is_that_of_the_records(changes: int, troubles: float) -> None:
    for seed in range(25):
        lab = Lab(seed, changes, troubles)
        lab.run()
        assert (seed, lab.wrong()) == (seed, [])


def test_without_claims_a_worker_that_was_slow_brings_back_what_was() -> None:
    def goes_wrong(seed: int) -> bool:
        lab = Lab(seed, changes=5, troubles=0.5)
        lab.claims.held = False
        lab.run()
        return bool(lab.wrong())

    assert any(goes_wrong(seed) for seed in range(150, 400))
