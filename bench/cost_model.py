"""What runs of the hub cost on AWS: quantities that follow from what was counted, times the price of each.

Nothing is rounded in the hub's favour: free tiers are left out, every function starts cold in every run, and
waiting for the network adds to the processor's time instead of passing beside it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bench.prices import Prices

VCPU_MEGABYTES = 1769
"""A function has one processor at this size, and of less in proportion (AWS Lambda Developer Guide,
«Configure Lambda function memory»)."""

MILLION = 1_000_000
MODES = ("resource", "batch", "off")
"""The values of ChangeEvents."""
CHANGES = (0, 100, 1_000, 10_000, 100_000, MILLION)
"""Resources that a run finds changed."""
TARGETS: Mapping[str, float] = {"resource": 1.20, "batch": 0.10}
"""Dollars that a million changed resources may cost, with one event each or in events for many."""

GIGABYTE = 2**30
TERABYTE = 10**12
SMALLEST_SCAN_BYTES = 10 * 10**6
"""Athena bills a query as if it had scanned this at least («Amazon Athena Pricing»)."""
READ_CHUNK_BYTES = 4 << 20
DEPLOYED_RANGE = "ProcessRangeFunction"
DEPLOYED_CHECK = "CheckExportFunction"

# Capacity units of the hub's calls, all on items below 2 KB; a transaction has up to three actions and counts
# twice (Amazon DynamoDB Developer Guide, «DynamoDB on-demand capacity mode»).
DYNAMODB_UNITS: Mapping[str, tuple[str, float]] = {
    "GetItem": ("dynamodb.read-unit", 1),
    "Query": ("dynamodb.read-unit", 2),
    "PutItem": ("dynamodb.write-unit", 2),
    "UpdateItem": ("dynamodb.write-unit", 2),
    "DeleteItem": ("dynamodb.write-unit", 2),
    "TransactWriteItems": ("dynamodb.write-unit", 8),
}
S3_REQUESTS: Mapping[str, str] = {"GetObject": "s3.get", "HeadObject": "s3.get", "DeleteObject": ""}


@dataclass(frozen=True)
class Assumptions:
    """What no local run can show. Times in milliseconds, sizes in bytes."""

    runs_per_month: int = 8_640
    """One every five minutes, for 30 days."""
    overlap: float = 0.4
    """Two of five minutes: so much of what changed is exported again by the next run, and recognised."""
    types: int = 14
    """Resource types among the changes; each has its own files."""
    resources_per_file: int = 5_000
    """HealthLake Developer Guide, «Exporting files from a HealthLake Data Store»."""
    range_bytes: int = 64 << 20
    max_concurrency: int = 20
    checks: int = 7
    """Looks at an export job: three of the chain, four on HealthLake's events."""
    request_ms: float = 20
    """One AWS request, waited for."""
    put_events_ms: float = 50
    in_flight: int = 4
    """Calls of PutEvents under way at once."""
    download_bytes_per_ms: float = 80_000
    cold_start_ms: float = 310
    """Of a processor, from the start of the process to the first answer: the slowest function but the range
    function, traced and not compiled (`cold-start`)."""
    cold_range_ms: float = 1_000
    """The same of the range function, with pyarrow: 420, and as much again for the layer that is fetched."""
    slower_processor: float = 1.0
    """How many times the processor's time on AWS is what was measured here."""
    start_transitions: int = 1
    """AWS counts the start of an execution, and of a map's child, as a transition in its examples."""
    ids_bytes: int = 16
    platform_log_bytes: int = 300
    """What Lambda's own three lines have more on AWS than here."""
    traces: float = 10
    traced_ranges: float = 0.05
    kms_of_run: int = 50
    """Data keys are kept for five minutes at most: one call for each service and role that uses the key."""
    kms_of_range: int = 4
    kms_of_event: float = 0.0
    """EventBridge keeps data keys too; how long, its documentation does not say."""
    exported_days: int = 37
    """30 until exported files expire, 7 more as former versions."""
    parquet_months: int = 1
    log_months: int = 3
    gets_of_a_file: int = 3
    """Requests of a query that opens a Parquet file: its end, its footer, a column chunk."""


@dataclass(frozen=True)
class FunctionCount:
    """What one run takes of one function."""

    invocations: int
    cpu_ms: float
    requests: Mapping[str, int]
    log_bytes: int
    megabytes: int


@dataclass(frozen=True)
class Counted:
    """What was counted of whole runs: transitions of the execution itself with and without anything to
    process, and every function's use; of the range function's per byte range."""

    transitions: int
    transitions_of_nothing: int
    transitions_per_range: float
    functions: Mapping[str, FunctionCount]
    other_requests: Mapping[str, int]
    of_range: FunctionCount


@dataclass(frozen=True)
class Told:
    """What telling of one resource in one way takes: microseconds of the processor, bytes, and numbers of
    calls and billed chunks; `range_ms` is what a byte range takes besides."""

    cpu_us: float
    range_ms: float
    line_bytes: float
    parquet_bytes: float
    event_chunks: float
    put_events: float


@dataclass(frozen=True)
class Quantity:
    """So much of what a price is for; `scope` is run, range or resource."""

    key: str
    amount: float
    scope: str


def run_of(
    changed: int, told: Told, repeated: Told, counted: Counted, assumed: Assumptions
) -> list[Quantity]:
    """What one run takes that finds `changed` resources."""
    lines = math.ceil(changed * (1 + assumed.overlap))
    ranges = ranges_of(lines, told.line_bytes, assumed)
    return [
        *_of_every_run(ranges > 0, counted, assumed),
        *_of_ranges(ranges, lines, told, counted, assumed),
        *_of_resources(changed, lines - changed, told, repeated, counted.of_range.megabytes, assumed),
    ]


def ranges_of(lines: int, line_bytes: float, assumed: Assumptions) -> int:
    """The byte ranges of an export: a file holds one type and so many resources, a range so many bytes."""
    files = max(min(assumed.types, lines), math.ceil(lines / assumed.resources_per_file))
    return max(files, math.ceil(lines * line_bytes / assumed.range_bytes))


def cost_by_service(quantities: Iterable[Quantity], prices: Prices) -> dict[str, float]:
    """Dollars by service, the dearest first."""
    return _sums((prices.prices[one.key].service, prices.cost(one.key, one.amount)) for one in quantities)


def cost_by_scope(quantities: Iterable[Quantity], prices: Prices) -> dict[str, float]:
    """Dollars by what they are spent for."""
    return _sums((one.scope, prices.cost(one.key, one.amount)) for one in quantities)


def total(quantities: Iterable[Quantity], prices: Prices) -> float:
    """Dollars of all."""
    return sum(prices.cost(one.key, one.amount) for one in quantities)


def query(scanned: float, files: int, assumed: Assumptions) -> list[Quantity]:
    """What a query in Athena takes that scans so many bytes in so many files."""
    return [
        Quantity("athena.tb", max(scanned, SMALLEST_SCAN_BYTES) / TERABYTE, "query"),
        Quantity("s3.get", files * assumed.gets_of_a_file, "query"),
    ]


def gigabyte_seconds(milliseconds: float, megabytes: int) -> float:
    """What Lambda bills for a time on the wall."""
    return milliseconds / 1000 * megabytes / 1024


def wall_ms(cpu_ms: float, megabytes: int, assumed: Assumptions) -> float:
    """How long a function of this size needs for so much of a processor."""
    return cpu_ms * assumed.slower_processor / min(1.0, megabytes / VCPU_MEGABYTES)


def _of_every_run(anything: bool, counted: Counted, assumed: Assumptions) -> Iterable[Quantity]:
    transitions = counted.transitions if anything else counted.transitions_of_nothing
    yield Quantity("stepfunctions.transition", transitions + assumed.start_transitions, "run")
    for name, use in counted.functions.items():
        calls = assumed.checks if name == DEPLOYED_CHECK else use.invocations
        share = calls / use.invocations
        busy = wall_ms(use.cpu_ms * share + assumed.cold_start_ms, use.megabytes, assumed)
        waited = assumed.request_ms * sum(use.requests.values()) * share
        yield Quantity("lambda.request", calls, "run")
        yield Quantity("lambda.gb-second", gigabyte_seconds(busy + waited, use.megabytes), "run")
        yield from _logged(use.log_bytes * share + calls * assumed.platform_log_bytes, "run", assumed)
        yield from _requested(use.requests, share, "run")
    yield from _requested(counted.other_requests, 1, "run")
    # receives and deletes of two queues, and HealthLake's events that a rule sends to one of them
    yield Quantity("sqs.request", 2 * (assumed.checks + 1) + 4, "run")
    yield Quantity("scheduler.invocation", 1, "run")
    yield Quantity("kms.request", assumed.kms_of_run, "run")
    yield Quantity("xray.trace", assumed.traces, "run")


def _of_ranges(
    ranges: int, lines: int, told: Told, counted: Counted, assumed: Assumptions
) -> Iterable[Quantity]:
    if not ranges:
        return
    use = counted.of_range
    cold = min(ranges, assumed.max_concurrency) * assumed.cold_range_ms
    ids = lines * assumed.overlap * assumed.ids_bytes / assumed.download_bytes_per_ms
    waited = assumed.request_ms * (sum(use.requests.values()) + 2) + ids
    busy = wall_ms(ranges * told.range_ms + cold, use.megabytes, assumed) + ranges * waited
    yield Quantity(
        "stepfunctions.transition",
        ranges * (counted.transitions_per_range + assumed.start_transitions),
        "range",
    )
    yield Quantity("lambda.request", ranges, "range")
    yield Quantity("lambda.gb-second", gigabyte_seconds(busy, use.megabytes), "range")
    yield from _logged(ranges * (use.log_bytes + assumed.platform_log_bytes), "range", assumed)
    yield from _requested(use.requests, ranges, "range")
    # HealthLake's own PUT of the file, the ids of events that are kept for the next run, and their readers
    yield Quantity("s3.put", 2 * ranges, "range")
    yield Quantity("s3.get", 2 * ranges + lines * told.line_bytes / READ_CHUNK_BYTES, "range")
    # drawing on the bound on events, and reading the ledger
    yield Quantity("dynamodb.write-unit", 2 * 8 * ranges, "range")
    yield Quantity("dynamodb.read-unit", 2 * ranges, "range")
    yield Quantity("kms.request", assumed.kms_of_range * ranges, "range")
    yield Quantity("xray.trace", assumed.traced_ranges * ranges, "range")


def _of_resources(
    changed: int, again: int, told: Told, repeated: Told, megabytes: int, assumed: Assumptions
) -> Iterable[Quantity]:
    busy = wall_ms((changed * told.cpu_us + again * repeated.cpu_us) / 1000, megabytes, assumed)
    read = (changed + again) * told.line_bytes
    waited = changed * told.put_events * assumed.put_events_ms / assumed.in_flight
    waited += read / assumed.download_bytes_per_ms
    yield Quantity("lambda.gb-second", gigabyte_seconds(busy + waited, megabytes), "resource")
    yield Quantity("events.chunk", changed * told.event_chunks, "resource")
    yield Quantity("kms.request", changed * told.event_chunks * assumed.kms_of_event, "resource")
    yield Quantity("s3.gb-month", read / GIGABYTE * assumed.exported_days / 30, "resource")
    parquet = changed * told.parquet_bytes / GIGABYTE
    yield Quantity("s3.gb-month", parquet * assumed.parquet_months, "resource")


def _requested(requests: Mapping[str, int], times: float, scope: str) -> Iterable[Quantity]:
    """Requests that are billed by number or by capacity. HealthLake includes the few that a run makes, and
    Step Functions and Lambda bill what they are told of otherwise."""
    for name, number in requests.items():
        service, _, operation = name.partition(" ")
        if service == "dynamodb":
            key, units = DYNAMODB_UNITS[operation]
            yield Quantity(key, units * number * times, scope)
        elif service == "s3" and S3_REQUESTS.get(operation, "s3.put"):
            yield Quantity(S3_REQUESTS.get(operation, "s3.put"), number * times, scope)
        elif service == "sqs":
            yield Quantity("sqs.request", number * times, scope)
        elif service == "events" and scope == "run":
            yield Quantity("events.chunk", number * times, scope)


def _logged(size: float, scope: str, assumed: Assumptions) -> Iterable[Quantity]:
    yield Quantity("logs.gb", size / GIGABYTE, scope)
    yield Quantity("logs.gb-month", size / GIGABYTE * assumed.log_months, scope)


def _sums(pairs: Iterable[tuple[str, float]]) -> dict[str, float]:
    sums: dict[str, float] = defaultdict(float)
    for name, dollars in pairs:
        sums[name] += dollars
    return dict(sorted(sums.items(), key=lambda pair: -pair[1]))
