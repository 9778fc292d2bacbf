"""Workers of the FHIR writer beside each other, one call at a time, in an order that a seed decides.

The records, the queue, the claims and HealthLake are small fakes in memory. The queue keeps no groups apart:
two workers get messages of one resource. What is real is the writer with
its conditions. Every call of a worker is a point at which another one may go on, the worker may die, or the
call may go wrong: refused for now, answered with nothing before or after it had its effect, or arriving late.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from common.healthlake_http import HttpAnswer, Unreachable
from common.retry_policy import RetryPolicy
from fhir_writer.errors import FhirWriteContended
from fhir_writer.fhir_store import FhirStore
from fhir_writer.resource_writer import ResourceWriter
from fhir_writer.write_batch import answer_fifo_batch
from fhir_writer.write_messages import Delivery, FhirWrite, ResourceName
from fhir_writer.writer_state import Held
from local.testing.stepped_worker import Worker

LIFE_SECONDS = 60
CLAIM_SECONDS = 90
VISIBILITY_SECONDS = 85
LATEST_ARRIVAL_SECONDS = 20


@dataclass(eq=False)
class Message:
    """A message in the queue; hidden until `visible_at`, delivered so many times."""

    number: int
    write: FhirWrite
    visible_at: float = 0.0
    delivered: int = 0

    def record(self) -> dict[str, Any]:
        """The message as Lambda gets it."""
        return {
            "messageId": str(self.number),
            "body": self.write.body(),
            "attributes": {
                "MessageGroupId": self.write.resource.digest,
                "ApproximateReceiveCount": str(self.delivered),
            },
        }


@dataclass
class Claims:
    """The claims and sequence numbers of `WriterState`. Where `held` is False, claims keep nobody away."""

    lab: Lab
    held: bool = True
    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    owners: int = 0

    def claim(self, resource: ResourceName, delivery: Delivery) -> Held:
        """As `WriterState.claim`."""
        self.lab.pause()
        item = self.items.setdefault(resource.digest, {})
        again = item.get("message") == delivery.message_id and item["delivery"] < delivery.count
        if self.held and item.get("until", 0) >= self.lab.now and not again:
            raise FhirWriteContended("Another worker is writing the resource.")
        self.owners += 1
        item.update(owner=str(self.owners), until=self.lab.now + CLAIM_SECONDS)
        item.update(message=delivery.message_id, delivery=delivery.count)
        held = Held(resource, str(self.owners), item.pop("etag", None), dict(item.get("applied", {})))
        self.lab.pause()
        return held

    def release(self, held: Held, etag: str | None, applied: Mapping[str, str]) -> None:
        """As `WriterState.release`."""
        self.lab.pause()
        item = self.items[held.resource.digest]
        if self.held and item.get("owner") != held.owner:
            raise FhirWriteContended("Another worker has taken the resource over.")
        item.update(applied=dict(applied), etag=etag, owner=None, until=0)
        self.lab.pause()


@dataclass
class HealthLake:
    """Versions of resources, as the REST API keeps them. Where `conditional` is False, it heeds none."""

    lab: Lab
    conditional: bool = True
    versions: dict[str, tuple[int, bytes | None]] = field(default_factory=dict)

    def exchange(
        self, method: str, path: str, content: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> HttpAnswer:
        """As `HealthLakeHttp.exchange`, with what can go wrong."""
        self.lab.pause()
        trouble = self.lab.trouble()
        if trouble in ("429", "503"):
            return HttpAnswer(int(trouble), b"{}")
        if trouble == "never arrives":
            raise Unreachable("ReadTimeoutError", sent=True)
        if trouble == "arrives late" and method != "GET":
            effect = lambda: self._perform(method, path, content, headers or {})  # noqa: E731
            self.lab.late.append((self.lab.now + LATEST_ARRIVAL_SECONDS, effect))
            raise Unreachable("ReadTimeoutError", sent=True)
        answer = self._perform(method, path, content, headers or {})
        self.lab.pause()
        if trouble == "answer lost":
            raise Unreachable("ConnectionClosedError", sent=True)
        return answer

    def content(self, path: str) -> Any:
        """What the current version says apart from its version; None where there is none."""
        _, found = self.versions.get(path, (0, None))
        return None if found is None else {**json.loads(found), "meta": None}

    def _perform(self, method: str, path: str, content: bytes, headers: Mapping[str, str]) -> HttpAnswer:
        version, stored = self.versions.get(path, (0, None))
        if self.conditional and self._refused(version, stored, headers):
            return HttpAnswer(412, b"{}")
        if method == "PUT":
            text = json.dumps({**json.loads(content), "meta": {"versionId": str(version + 1)}}).encode()
            self.versions[path] = (version + 1, text)
            return HttpAnswer(200 if stored else 201, text, {"etag": f'W/"{version + 1}"'})
        if method == "DELETE":
            if stored is not None:
                self.versions[path] = (version + 1, None)
            return HttpAnswer(204 if version else 404, b"")
        if stored is None:
            return HttpAnswer(410 if version else 404, b"{}")
        return HttpAnswer(200, stored, {"etag": f'W/"{version}"'})

    def _refused(self, version: int, stored: bytes | None, headers: Mapping[str, str]) -> bool:
        """Whether a precondition does not hold. This HealthLake says that a deleted resource exists where
        the lab asks for it."""
        if "If-None-Match" in headers:
            return stored is not None or (self.lab.tombstones_exist and version > 0)
        wanted = headers.get("If-Match")
        return wanted is not None and (stored is None or wanted != f'W/"{version}"')


class Lab:
    """One run: `changes` changes of the records of two persons, delivered shuffled and repeated to workers
    that die, until nothing is left to do. Of the requests a share of `troubles` goes wrong."""

    def __init__(self, seed: int, changes: int = 25, troubles: float = 0.15) -> None:
        self.random = Random(seed)  # noqa: S311
        self.now = 1_000.0
        self.records: dict[tuple[str, str], str] = {}
        self.queue: list[Message] = []
        self.late: list[tuple[float, Callable[[], object]]] = []
        self.workers: dict[int, Worker] = {}
        self.running: Worker | None = None
        self.claims = Claims(self)
        self.healthlake = HealthLake(self)
        self.tombstones_exist = self.random.random() < 0.3
        self.troubles = troubles
        self._changes = changes
        self._sequence = 10**20
        self._numbers = self._messages = 0

    def resource(self, write: FhirWrite) -> bytes | None:
        """The resource as the records are: two reads, between which others go on."""
        self.pause()
        base = self.records.get((write.id, "BASE"))
        self.pause()
        parts = sorted(
            f"{sk}={value}" for (one, sk), value in self.records.items() if one == write.id and sk != "BASE"
        )
        self.pause()
        if base is None:
            return None
        document = {"resourceType": "Patient", "id": write.id, "base": base, "parts": parts}
        return json.dumps(document).encode()

    def pause(self) -> None:
        """A point at which somebody else may go on."""
        if self.running is not None:
            self.running.wait()

    def trouble(self) -> str | None:
        """What goes wrong with a request, mostly nothing."""
        if self.random.random() >= self.troubles:
            return None
        return self.random.choice(("429", "503", "never arrives", "arrives late", "answer lost"))

    def run(self) -> None:
        """Go on until every change is made and every message is gone."""
        while self._changes or self.queue or self.workers or self.late:
            self._random_step()

    def wrong(self) -> list[str]:
        """The persons whose resource is not what the records say."""
        self.running = None
        persons = {person for person, _ in self.records} | {
            one.split("/")[1] for one in self.healthlake.versions
        }
        found = []
        for person in sorted(persons):
            wanted = self.resource(_write(person, "BASE", 1))
            stored = self.healthlake.content(f"Patient/{person}")
            if stored != (None if wanted is None else {**json.loads(wanted), "meta": None}):
                found.append(person)
        return found

    def _random_step(self) -> None:
        dice = self.random.random()
        if self._changes and dice < 0.08:
            self._change()
        elif self.late and dice < 0.14:
            self.late.pop(self.random.randrange(len(self.late)))[1]()
        elif dice < 0.30:
            self._pass_time(self.random.uniform(1, 8))
        elif dice < 0.50 and len(self.workers) < 3:
            self._start_worker()
        elif self.workers:
            self._step_worker()
        elif not self._changes:
            self._pass_time(VISIBILITY_SECONDS / 4)

    def _change(self) -> None:
        self._changes -= 1
        person = self.random.choice(("p1", "p2"))
        sk = self.random.choice(("BASE", "BASE", "PART#1", "PART#2"))
        if (person, sk) in self.records and self.random.random() < 0.4:
            del self.records[person, sk]
        else:
            self.records[person, sk] = str(self._changes)
        self._sequence += 1
        write = _write(person, sk, self._sequence)
        for _ in range(self.random.choice((1, 1, 1, 2, 3))):
            # Rules on a bus keep no order; some messages come more than five minutes late.
            place = self.random.randint(0, len(self.queue))
            delay = self.random.choice((0, 0, 0, 0, 400))
            self._messages += 1
            self.queue.insert(place, Message(self._messages, write, self.now + delay))

    def _start_worker(self) -> None:
        visible = [message for message in self.queue if message.visible_at <= self.now]
        batch = visible[: self.random.randint(1, 3)]
        if not batch:
            return
        for message in batch:
            message.visible_at = self.now + VISIBILITY_SECONDS
            message.delivered += 1
        self._numbers += 1
        self.workers[self._numbers] = Worker(lambda: self._work(batch), self.now)

    def _work(self, batch: list[Message]) -> None:
        policy = RetryPolicy(tries=3, sleep=lambda _: self.pause(), chance=self.random.random)
        store = FhirStore(self.healthlake)  # type: ignore[arg-type]
        writer = ResourceWriter(self.claims, store, self, policy)  # type: ignore[arg-type]
        records = [message.record() for message in batch]
        answer = answer_fifo_batch(records, writer, _NoFailures())
        failed = {int(one["itemIdentifier"]) for one in answer["batchItemFailures"]}
        for message in batch:
            if message.number not in failed and message in self.queue:
                self.queue.remove(message)

    def _step_worker(self) -> None:
        number = self.random.choice(list(self.workers))
        worker = self.workers[number]
        worker.dying = self.random.random() < 0.01
        self._let(number, worker)

    def _let(self, number: int, worker: Worker) -> None:
        self.running = worker
        worker.step()
        self.running = None
        if worker.done:
            del self.workers[number]

    def _pass_time(self, seconds: float) -> None:
        self.now += seconds
        due = [one for one in self.late if one[0] <= self.now]
        self.late = [one for one in self.late if one[0] > self.now]
        for _, effect in due:
            effect()
        for number, worker in list(self.workers.items()):
            if self.now - worker.born > LIFE_SECONDS:
                worker.dying = True
                self._let(number, worker)


class _NoFailures:
    def keep(self, write: FhirWrite, failure: Exception) -> None:
        """Nothing is refused here."""
        raise AssertionError(write.event_id) from failure


def _write(person: str, sk: str, sequence: int) -> FhirWrite:
    return FhirWrite(f"{sequence}", "Patient", person, sk, "stream", str(sequence), "Patient", person)
