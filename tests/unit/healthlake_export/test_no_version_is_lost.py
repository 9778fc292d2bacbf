"""For any sequence of writes and runs, the final version of every resource is published.

The store is modelled as HealthLake is: it holds and exports current versions only, its clock is not the
hub's, and a write may become visible after its time. The window, the recognition of repeats and the ids
kept for the next run are the hub's own code.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from common.instants import format_instant, parse_instant
from healthlake_export.change_events import event_id
from healthlake_export.published_ids import IdCollector, OverlapWindow, PublishedIds
from healthlake_export.resource_keys import Meta, ResourceKeys
from healthlake_export.run_context import RunContext, RunIdentity
from healthlake_export.run_request import RunRequest
from healthlake_export.window import EventPolicy, Progress, plan_run

START = datetime(2026, 3, 1, tzinfo=UTC)
OVERLAP = 120
FULL = RunRequest(full=True)
REPLAY = RunRequest(until=START)


@dataclass(frozen=True)
class Version:
    number: int
    written: datetime
    visible: datetime


@dataclass
class Store:
    """Current versions only. `skew` is how far the store's clock is ahead of the hub's, in seconds."""

    skew: int = 0
    versions: dict[str, list[Version]] = field(default_factory=dict)

    def write(self, name: str, at: datetime, lag: int) -> None:
        known = self.versions.setdefault(name, [])
        written = at + timedelta(seconds=self.skew)
        visible = at + timedelta(seconds=lag)
        if known:
            written = max(written, known[-1].written)
            visible = max(visible, known[-1].visible)
        known.append(Version(len(known) + 1, written, visible))

    def export(self, since: str | None, at: datetime) -> list[tuple[str, Version]]:
        """The current version of each resource at `at`, of those changed on or after `since`."""
        current = []
        for name, versions in self.versions.items():
            seen = [version for version in versions if version.visible <= at]
            if seen and (since is None or seen[-1].written >= parse_instant(since)):
                current.append((name, seen[-1]))
        return current


@dataclass
class Hub:
    """Runs with the hub's own window and repeat recognition; remembers what was published."""

    policy: EventPolicy = EventPolicy(change_events=True, full_run_events=True)  # noqa: RUF009 - frozen
    progress: Progress = Progress()  # noqa: RUF009 - frozen
    ids: PublishedIds = field(default_factory=PublishedIds)
    published: list[tuple[str, int]] = field(default_factory=list)

    def run(self, store: Store, request: RunRequest, requested: datetime, took: int, *, fails: bool) -> None:
        identity = RunIdentity("run", "arn", "store")
        run = plan_run(identity, request, self.progress, timedelta(seconds=OVERLAP), self.policy, "")
        kept = IdCollector()
        overlap = OverlapWindow(format_instant(requested), OVERLAP)
        previous = self.ids if run.previous_ids else PublishedIds()
        for name, version in store.export(run.since, requested + timedelta(seconds=took)):
            self._process(run, name, version, previous, overlap, kept)
        if not fails and run.advances_watermark:
            left = kept.sorted_ids()
            self.progress = Progress(requested, "ids" if left else None)
            self.ids = PublishedIds(left)

    def _process(
        self,
        run: RunContext,
        name: str,
        version: Version,
        previous: PublishedIds,
        overlap: OverlapWindow,
        kept: IdCollector,
    ) -> None:
        last_updated = format_instant(version.written)
        keys = ResourceKeys(
            resourceType="Patient",
            id=name,
            meta=Meta(versionId=str(version.number), lastUpdated=last_updated),
        )
        identity = event_id("store", keys, b"")
        if identity not in previous and run.events:
            self.published.append((name, version.number))
        if run.events and run.advances_watermark and overlap.holds(last_updated):
            kept.add(identity)


writes = st.tuples(st.just("write"), st.sampled_from("abcd"), st.integers(0, OVERLAP // 2))
runs = st.tuples(st.just("run"), st.sampled_from(["", "full", "replay"]), st.integers(0, 600), st.booleans())
histories = st.lists(st.tuples(st.integers(0, 400), writes | runs), max_size=60)
skews = st.integers(-OVERLAP // 2, OVERLAP // 2)


def live(hub: Hub, store: Store, history: list[tuple[int, tuple[object, ...]]]) -> datetime:
    """Let the history happen and return the time after it. Runs of one datastore do not overlap."""
    now = START
    for pause, happening in history:
        now += timedelta(seconds=pause)
        match happening:
            case ("write", str(name), int(lag)):
                store.write(name, now, lag)
            case ("run", str(kind), int(took), bool(fails)):
                request = {"full": FULL, "replay": REPLAY}.get(kind, RunRequest())
                hub.run(store, request, now, took, fails=fails)
    return now + timedelta(seconds=OVERLAP)


@given(histories, skews)
def test_the_final_version_of_every_resource_is_published(
    history: list[tuple[int, tuple[object, ...]]], skew: int
) -> None:
    hub, store = Hub(), Store(skew)

    after = live(hub, store, history)
    hub.run(store, RunRequest(), after, 1, fails=False)

    final = {(name, versions[-1].number) for name, versions in store.versions.items()}
    assert final <= set(hub.published)


@given(histories, skews)
def test_what_changed_after_a_silent_full_run_is_published_although_full_runs_publish_nothing(
    history: list[tuple[int, tuple[object, ...]]], skew: int
) -> None:
    silent = EventPolicy(change_events=True, full_run_events=False)
    hub, store = Hub(policy=silent), Store(skew)
    store.write("a", START - timedelta(days=1), 0)
    hub.run(store, RunRequest(), START - timedelta(hours=1), 1, fails=False)

    after = live(hub, store, history)
    hub.run(store, RunRequest(), after, 1, fails=False)

    final = {
        (name, versions[-1].number)
        for name, versions in store.versions.items()
        if versions[-1].written >= START
    }
    assert final <= set(hub.published)


@given(st.lists(st.integers(30, 400), min_size=1, max_size=8), st.integers(0, 20))
def test_a_resource_rewritten_every_second_is_published_by_every_run_and_in_the_end(
    pauses: list[int], took: int
) -> None:
    hub, store = Hub(), Store()
    now = START
    for pause in pauses:
        for _ in range(pause + took):
            now += timedelta(seconds=1)
            store.write("busy", now, 0)
        before = len(hub.published)
        hub.run(store, RunRequest(), now - timedelta(seconds=took), took, fails=False)
        assert len(hub.published) == before + 1

    assert hub.published[-1] == ("busy", len(store.versions["busy"]))


@given(st.lists(st.integers(1, 300), min_size=1, max_size=10))
def test_without_failures_no_version_is_published_twice(pauses: list[int]) -> None:
    hub, store = Hub(), Store()
    now = START
    for number, pause in enumerate(pauses):
        now += timedelta(seconds=pause)
        store.write("abcd"[number % 4], now, 0)
        hub.run(store, RunRequest(), now, 1, fails=False)

    assert len(hub.published) == len(set(hub.published))


def test_a_window_without_overlap_would_lose_a_late_write() -> None:
    """Shows that the model can fail: what the overlap is for is lost without it."""
    store, hub = Store(), Hub()
    store.write("a", START, lag=60)
    hub.run(store, RunRequest(), START + timedelta(seconds=30), 1, fails=False)
    hub.progress = replace(hub.progress, watermark=START + timedelta(seconds=30 + OVERLAP))

    hub.run(store, RunRequest(), START + timedelta(seconds=90), 1, fails=False)

    assert hub.published == []
