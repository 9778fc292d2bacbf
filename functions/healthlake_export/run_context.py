"""What a run is, as the state machine carries it from state to state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

from common.names import camel_case

Mode = Literal["full", "incremental", "replay"]


@dataclass(frozen=True)
class RunIdentity:
    """Who a run is: its id (the execution's name), the execution's ARN and its datastore."""

    run_id: str
    execution_arn: str
    datastore_id: str

    @classmethod
    def of_execution(cls, execution_arn: str, datastore_id: str) -> RunIdentity:
        """The run of an execution, whose name is the last part of its ARN."""
        return cls(execution_arn.rsplit(":", 1)[-1], execution_arn, datastore_id)


@dataclass(frozen=True)
class RunContext:
    """One run of the export workflow; all times are ISO 8601 in UTC.

    `snapshot` says that events of the run are snapshots and not changes, `events` whether it publishes
    any and `batches` whether many resources share one, `advances_watermark` whether its success moves the
    watermark, `accepts_errors` that it does so even where HealthLake could not export some resources, and
    `previous_ids` is the key of the object with the event ids that the run before left for its overlap.
    """

    run_id: str
    execution_arn: str
    datastore_id: str
    mode: Mode
    snapshot: bool
    events: bool
    since: str | None
    until: str | None
    types: tuple[str, ...]
    started_at: str
    advances_watermark: bool
    previous_ids: str | None
    batches: bool = False
    started_by: str = "unknown"
    accepts_errors: bool = False

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> RunContext:
        """The run in `$.run` of a state's input."""
        return cls(
            run_id=state["runId"],
            execution_arn=state["executionArn"],
            datastore_id=state["datastoreId"],
            mode=cast(Mode, state["mode"]),
            snapshot=state["snapshot"],
            events=state["events"],
            since=state["since"],
            until=state["until"],
            types=tuple(state["types"]),
            started_at=state["startedAt"],
            advances_watermark=state["advancesWatermark"],
            previous_ids=state["previousIds"],
            # Executions that were started before these fields came are finished by functions deployed since.
            batches=state.get("batches", False),
            started_by=state.get("startedBy", "unknown"),
            accepts_errors=state.get("acceptsErrors", False),
        )

    @property
    def identity(self) -> RunIdentity:
        """Who the run is."""
        return RunIdentity(self.run_id, self.execution_arn, self.datastore_id)

    def to_state(self) -> dict[str, Any]:
        """The run as `$.run`, with the names that the state machine uses."""
        return {
            camel_case(name): list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }
