"""Uploads and jobs drawn from a seed, and the transitions and effects that must come of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from random import Random
from typing import Any

IDENTITY = "demo"
TESTS_COMPLETE, TENTH_ITEM, ARRIVED = "tests-complete", "tenth-item", "upload-arrived"
"""Names of the rules in functions/transitions/rules.json."""

QUEUED = (ARRIVED, TENTH_ITEM)
"""Those whose transitions go to workers; the others become objects."""

_NAMES = (
    "lab results.ndjson",
    "a+b.ndjson",
    "Befund für 例.ndjson",
    "100%.ndjson",
    "x&y=z?.ndjson",
    "plain.ndjson",
)
_NUMBER_ROUND_TEN = (7, 9, 10, 11)
_DONE = "TESTS_COMPLETE"
_PHASES = ("RUNNING", _DONE, "REPORTED")


@dataclass(frozen=True)
class Upload:
    """An object to upload; `taken` says that its key is one under which uploads belong."""

    key: str
    body: bytes
    taken: bool = True

    @property
    def digest(self) -> str:
        return sha256(self.body).hexdigest()


@dataclass(frozen=True)
class JobState:
    """A job item as it is put, one state after the other."""

    id: str
    phase: str
    items: int

    @property
    def image(self) -> dict[str, dict[str, Any]]:
        return {
            "id": {"S": self.id},
            "itemType": {"S": "Job"},
            "phase": {"S": self.phase},
            "items": {"L": [{"N": str(number)} for number in range(self.items)]},
        }


@dataclass(frozen=True)
class WorkPlan:
    """Uploads of different keys in any order, and states of jobs, those of one job in their order."""

    uploads: Sequence[Upload]
    states: Sequence[JobState]

    @cached_property
    def transitions(self) -> Counter[str]:
        """How many transitions there must be of each rule."""
        found = Counter({ARRIVED: sum(upload.taken for upload in self.uploads)})
        before: dict[str, JobState] = {}
        for state in self.states:
            old = before.get(state.id)
            before[state.id] = state
            found[TESTS_COMPLETE] += state.phase == _DONE != (old.phase if old else "")
            found[TENTH_ITEM] += state.items >= 10 > (old.items if old else 0)
        return found

    def items(self, bucket: str) -> frozenset[str]:
        """The ids of the items in the table of jobs, uploaded to the bucket."""
        uploaded = (sha256(f"{bucket}/{upload.key}".encode()).hexdigest() for upload in self.uploads)
        return frozenset({*(f"UPLOAD#{name}" for name in uploaded), *(state.id for state in self.states)})

    @property
    def jobs(self) -> int:
        """How many transitions workers must have worked on."""
        return sum(self.transitions[rule] for rule in QUEUED)


def draw_work(seed: int | str, uploads: int, states: int) -> WorkPlan:
    """So many uploads, a few of them where none belong, and so many states of jobs."""
    random = Random(f"{seed}/work")  # noqa: S311 - repeatable on purpose
    drawn = [_upload(seed, number, random) for number in range(uploads)]
    ids = [f"JOB-{seed}-{number}" for number in range(states // 8 + 1)]
    written = [
        JobState(random.choice(ids), random.choice(_PHASES), random.choice(_NUMBER_ROUND_TEN))
        for _ in range(states)
    ]
    return WorkPlan(drawn, written)


def _upload(seed: int | str, number: int, random: Random) -> Upload:
    lines = "".join(
        f'{{"resourceType":"Patient","id":"{seed}-{number}-{line}"}}\n'
        for line in range(random.randrange(1, 20))
    )
    name = f"{number}/{random.choice(_NAMES)}"
    if random.random() < 0.1:
        return Upload(f"uploads/{name.replace('/', '-')}", lines.encode(), taken=False)
    return Upload(f"uploads/{IDENTITY}-{seed}/{name}", lines.encode())


def work_problems(
    plan: WorkPlan, jobs: Iterable[Mapping[str, Any]], noted: int
) -> tuple[int, int, list[str]]:
    """How many distinct transitions arrived, how many jobs were done, and what is wrong with them: `jobs` are
    items as DynamoDB gives them, `noted` the objects that transitions have written."""
    done = [job for job in jobs if job["phase"]["S"] in ("DONE", "SUPERSEDED")]
    rules = Counter(job["rule"]["S"] for job in done)
    found = [
        f"{rules[rule]} jobs of {plan.transitions[rule]} transitions of {rule}"
        for rule in QUEUED
        if rules[rule] != plan.transitions[rule]
    ]
    if noted != plan.transitions[TESTS_COMPLETE]:
        found.append(f"{noted} objects of {plan.transitions[TESTS_COMPLETE]} transitions of {TESTS_COMPLETE}")
    digests = {
        job["result"]["M"]["sha256"]["S"] for job in done if job["rule"]["S"] == ARRIVED and "result" in job
    }
    missing = [upload.key for upload in plan.uploads if upload.taken and upload.digest not in digests]
    found += [f"no job has read what was uploaded as {key}" for key in missing]
    return len(done) + noted, len(done), found
