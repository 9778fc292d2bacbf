"""Resources that are written while runs go on, and every version that ever was."""

from __future__ import annotations

import threading
from itertools import count
from random import Random

from local.stepfunctions.work_threads import WorkThreads
from local.testing.export_hub import ExportHub

TYPES = ("Patient", "Observation", "Condition")
IDS = 8

Name = tuple[str, str]


class Writer:
    """Writes resources through the FHIR API, in its own thread while runs go on."""

    def __init__(self, hub: ExportHub, seed: str) -> None:
        self._hub = hub
        self._random = Random(seed)  # noqa: S311
        self._lock = threading.Lock()
        self._threads = WorkThreads()
        self._numbers = count()
        self.versions: dict[Name, list[str]] = {}

    def write(self, name: Name) -> None:
        """Write a resource anew, so that it has a version more."""
        with self._lock:
            answer = self._hub.fhir.put(*name, text={"status": f"{self._random.random()}"})
            if answer.status not in (200, 201):
                raise RuntimeError(f"HealthLake refused a resource with {answer.status}")
            self.versions.setdefault(name, []).append(answer.document["meta"]["versionId"])

    def draw(self) -> Name:
        """A resource: one of a few that change often, or one that is written once and never again."""
        if self._random.random() < 0.5:
            return self._random.choice(TYPES), f"r{self._random.randrange(IDS)}"
        return self._random.choice(TYPES), f"once-{next(self._numbers)}"

    def known(self) -> Name:
        """A resource that exists."""
        with self._lock:
            return self._random.choice(sorted(self.versions))

    def write_beside(self, number: int, stop: threading.Event) -> None:
        """Write so many resources in the next moments, beside whatever happens."""
        names = [(self.draw(), self._random.uniform(0, 0.4)) for _ in range(number)]

        def write_all() -> None:
            for name, pause in names:
                stop.wait(pause)
                self.write(name)

        self._threads.start("writer", write_all)

    def wait(self) -> None:
        """Wait until everything is written. Raises TimeoutError."""
        self._threads.join()
