"""Loads resources into a datastore in batch Bundles: every line as written, under its own id, in parallel."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

from local.cli.fhir_client import Answer, FhirClient
from local.cli.ndjson_files import Line, RefusedLine

ENTRIES_PER_BUNDLE = 100
BYTES_PER_BUNDLE = 2_000_000
PARALLEL_BUNDLES = 4
REFUSED_FOR_CONTENT = (400, 413, 422)

Progress = Callable[["Loaded"], None]


@dataclass
class Loaded:
    """What came of loading: the distinct resources accepted (type/id) and the lines refused."""

    accepted: set[str] = field(default_factory=set)
    refused: list[RefusedLine] = field(default_factory=list)

    def by_type(self) -> dict[str, int]:
        """Accepted resources by type."""
        counts: dict[str, int] = {}
        for key in self.accepted:
            resource_type = key.partition("/")[0]
            counts[resource_type] = counts.get(resource_type, 0) + 1
        return dict(sorted(counts.items()))


def load_lines(client: FhirClient, lines: Iterable[Line | RefusedLine], progress: Progress) -> Loaded:
    """Send the lines; of two with the same id the later one wins, as if they were sent one by one."""
    loaded = Loaded()
    in_flight: dict[Future[Answer], list[Line]] = {}

    def settle(all_of_them: bool) -> None:
        done = wait(in_flight, return_when="ALL_COMPLETED" if all_of_them else FIRST_COMPLETED).done
        for future in done:
            batch, answer = in_flight.pop(future), future.result()
            if answer.status in REFUSED_FOR_CONTENT and len(batch) > 1:
                # one line that makes the whole Bundle unreadable must not take the others with it
                for line in batch:
                    _take(loaded, [line], client.batch(bundle([line])))
            else:
                _take(loaded, batch, answer)
        progress(loaded)

    with ThreadPoolExecutor(PARALLEL_BUNDLES) as pool:
        for batch, repeats in _batches(lines, loaded):
            if repeats:
                settle(all_of_them=True)
            while len(in_flight) >= PARALLEL_BUNDLES * 2:
                settle(all_of_them=False)
            in_flight[pool.submit(client.batch, bundle(batch))] = batch
        settle(all_of_them=True)
    loaded.refused.sort(key=lambda line: (str(line.file), line.number))
    return loaded


def bundle(lines: Iterable[Line]) -> bytes:
    """A batch Bundle that puts each line, whose text it contains unchanged."""
    entries = b",".join(
        b'{"resource":' + line.text + b',"request":{"method":"PUT","url":"' + line.key.encode() + b'"}}'
        for line in lines
    )
    return b'{"resourceType":"Bundle","type":"batch","entry":[' + entries + b"]}"


def _batches(lines: Iterable[Line | RefusedLine], loaded: Loaded) -> Iterator[tuple[list[Line], bool]]:
    """Lines in groups for one Bundle each, and whether the group repeats an id that was sent before."""
    sent: set[str] = set()
    batch: dict[str, Line] = {}
    size = 0
    for line in lines:
        if isinstance(line, RefusedLine):
            loaded.refused.append(line)
            continue
        full = len(batch) >= ENTRIES_PER_BUNDLE or size + len(line.text) > BYTES_PER_BUNDLE
        if batch and (full or line.key in batch):
            yield list(batch.values()), not sent.isdisjoint(batch)
            sent.update(batch)
            batch, size = {}, 0
        batch[line.key] = line
        size += len(line.text)
    if batch:
        yield list(batch.values()), not sent.isdisjoint(batch)


def _take(loaded: Loaded, lines: list[Line], answer: Answer) -> None:
    """Count the answer's entries; a Bundle that was refused whole refuses each of its lines."""
    if answer.status != 200:
        reason = f"the datastore refused the bundle: {_reason(answer.status, answer)}"
        loaded.refused.extend(RefusedLine(line.file, line.number, reason) for line in lines)
        return
    entries = answer.document()["entry"]
    for line, entry in zip(lines, entries, strict=True):
        response = entry["response"]
        if response["status"].startswith("2"):
            loaded.accepted.add(line.key)
        else:
            outcome = diagnostics(response.get("outcome"))
            loaded.refused.append(RefusedLine(line.file, line.number, f"{response['status']}: {outcome}"))


def _reason(status: int, answer: Answer) -> str:
    try:
        return f"{status} {diagnostics(answer.document())}"
    except ValueError:
        return str(status)


def diagnostics(outcome: Any) -> str:
    """The reasons of an OperationOutcome (or of AWS's own error answer), without anything else of it."""
    if not isinstance(outcome, dict):
        return "no reason given"
    if "issue" not in outcome:
        return str(outcome.get("message") or outcome.get("Message") or "no reason given")
    return "; ".join(issue.get("diagnostics") or issue.get("code", "") for issue in outcome["issue"])
