"""One pass over every version of every object in the stack's buckets."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

from local.erasure.examination import Examined, Examiner
from local.erasure.findings import AreaCount, Findings, PassResult
from local.erasure.object_versions import (
    KeyVersions,
    NotDeleted,
    Version,
    VersionGone,
    delete_versions,
    list_versions,
)
from local.erasure.replacement import ObjectChanged
from local.erasure.stack_buckets import StackBuckets, StackResource, Treatment, prefix_of, treatment

WORKERS = 8
_WAITING = 4 * WORKERS
_CHANGED = "it was replaced while it was looked at"


@dataclass
class KeyResult:
    """What became of one key."""

    count: AreaCount = field(default_factory=AreaCount)
    findings: Findings = field(default_factory=Findings)
    left: str | None = None


@dataclass(frozen=True)
class Sweep:
    """Looks through the buckets for one patient; `erase` says whether to do something about what it finds.
    `before_each` is called before each key and may raise to end the pass."""

    s3: Any
    buckets: StackBuckets
    patient_id: str
    erase: bool = True
    before_each: Callable[[], None] = lambda: None

    def run(self, progress: Callable[[str], None]) -> PassResult:
        """One pass."""
        result = PassResult()
        with ThreadPoolExecutor(WORKERS) as workers:
            try:
                for bucket in self.buckets.covered:
                    self._bucket(bucket, workers, result, progress)
            except BaseException:
                workers.shutdown(cancel_futures=True)
                raise
        return result

    def key(self, bucket: StackResource, found: KeyVersions) -> KeyResult:
        """Look at the versions of one key, and erase what has to go."""
        self.before_each()
        result = KeyResult(AreaCount(objects=1))
        examiner = Examiner(self.s3, bucket.name, self.patient_id)
        kind = treatment(bucket.logical_id, found.key)
        examined = list(self._examine(examiner, found, kind, result))
        if any(one.concerns for one in examined):
            _count(result, found.latest, examined, kind)
            if self.erase:
                self._erase(examiner, found, examined, result)
        return result

    def _bucket(
        self,
        bucket: StackResource,
        workers: ThreadPoolExecutor,
        result: PassResult,
        progress: Callable[[str], None],
    ) -> None:
        keys = list_versions(self.s3, bucket.name)
        results = _each(workers, lambda found: self.key(bucket, found), keys)
        for done, (found, key_result) in enumerate(results, start=1):
            progress(f"{bucket.logical_id}: {done:,} objects looked through")
            result.area(bucket.logical_id, prefix_of(found.key)).include(key_result.count)
            result.findings.include(key_result.findings)
            if key_result.left is not None:
                result.left.append((bucket.logical_id, found.key, key_result.left))

    def _examine(
        self, examiner: Examiner, found: KeyVersions, kind: Treatment, result: KeyResult
    ) -> Iterator[Examined]:
        for version in found.versions:
            if version.is_marker:
                # A marker without an object hides nothing; of results it goes with them.
                if kind is Treatment.RESULTS or len(found.versions) == 1:
                    yield Examined(version, concerns=kind is Treatment.RESULTS)
                continue
            try:
                one = examiner.examine(version, kind)
            except VersionGone:
                continue
            result.count.versions += 1
            result.count.bytes += version.size
            result.findings.mentioning |= one.findings.mentioning
            if one.left_alone is not None:
                result.left = one.left_alone
                result.count.left = 1
            yield one

    def _erase(
        self, examiner: Examiner, found: KeyVersions, examined: list[Examined], result: KeyResult
    ) -> None:
        """Put what is left of the latest version in its place, then delete every other one. The latest goes
        last, so that none that it hides is seen."""
        latest = next((one for one in examined if one.version.is_latest), None)
        kept = {latest.version.version_id} if latest is not None and not latest.concerns else set[str]()
        try:
            if latest is not None and latest.concerns and latest.write is not None:
                kept.add(examiner.replace(latest))
            gone = [one for one in found.versions if one.version_id not in kept]
            delete_versions(self.s3, examiner.bucket, [one for one in gone if not one.is_latest])
            delete_versions(self.s3, examiner.bucket, [one for one in gone if one.is_latest])
        except (ObjectChanged, VersionGone):
            result.left, result.count.left = _CHANGED, 1
        except NotDeleted as error:
            result.left, result.count.left = str(error), 1


def _count(result: KeyResult, latest: Version, examined: list[Examined], kind: Treatment) -> None:
    """Count what goes: rows and lines as readers see them now, and the versions behind them."""
    current = next((one for one in examined if one.version.is_latest), None)
    if current is not None and current.concerns and not latest.is_marker:
        result.findings.include(current.findings)
        result.count.erased = current.findings.erased
        result.count.replaced = int(current.write is not None)
        result.count.deleted = int(current.write is None)
    result.count.old_versions = sum(1 for one in examined if not one.version.is_latest and one.concerns)
    if kind is Treatment.RESULTS and latest.is_marker:
        result.count.old_versions += 1


def _each(
    workers: ThreadPoolExecutor, work: Callable[[KeyVersions], KeyResult], keys: Iterable[KeyVersions]
) -> Iterator[tuple[KeyVersions, KeyResult]]:
    """Do the work for every key, some at a time, and give the results as they come: of millions of keys only
    those at work are held."""
    running: dict[Future[KeyResult], KeyVersions] = {}
    left = iter(keys)
    more = True
    while more or running:
        while more and len(running) < _WAITING:
            found = next(left, None)
            if found is None:
                more = False
            else:
                running[workers.submit(work, found)] = found
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            yield running.pop(future), future.result()
