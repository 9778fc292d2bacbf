"""Workers as processes, which are killed and replaced until they may live."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Self

from local.workers.process import WorkerFailed, WorkerProcess

WORKERS = 2


class MortalFleet:
    """So many workers; one after the other is killed where it stands, or asked to drain, and replaced."""

    def __init__(self, root: Path, settings: Mapping[str, str], seed: str, seconds: float) -> None:
        self._root, self._settings, self._seconds = root, settings, seconds
        self._random = Random(f"{seed}/fleet")  # noqa: S311 - repeatable on purpose
        self._calm = threading.Event()
        self._workers: list[WorkerProcess] = []
        self._killer = threading.Thread(target=self._kill, name="fleet", daemon=True)
        self.deaths = 0

    def __enter__(self) -> Self:
        self._workers = [self._new() for _ in range(WORKERS)]
        self._killer.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.calm()
        for worker in self._workers:
            worker.drain()
        for worker in self._workers:
            with suppress(WorkerFailed):
                worker.ended()
            worker.__exit__()

    def calm(self) -> None:
        """Let them live from now on."""
        self._calm.set()
        self._killer.join()

    def _kill(self) -> None:
        while not self._calm.wait(self._random.uniform(0.5, 1.5) * self._seconds):
            place = self._random.randrange(WORKERS)
            worker = self._workers[place]
            if self._random.random() < 0.7:
                worker.kill()
                self.deaths += 1
            else:
                worker.drain()
                with suppress(WorkerFailed):
                    worker.ended()
                worker.__exit__()
            self._workers[place] = self._new()

    def _new(self) -> WorkerProcess:
        return WorkerProcess(self._root, self._settings)
