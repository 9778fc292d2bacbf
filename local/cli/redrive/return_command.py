"""`redrive return`: dead letters out of quarantine, back to where they belong."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from botocore.config import Config

from common.errors import InvalidInput
from dlq_redrive.arns import is_fifo, name_of_queue
from dlq_redrive.bindings import Bindings
from dlq_redrive.dead_letter import DeadLetterQueue
from dlq_redrive.dead_letter_quarantine import QuarantinedLetter
from dlq_redrive.errors import QueueGone
from dlq_redrive.message_identity import message_identity
from dlq_redrive.queue_discovery import Found, find_dead_letter_queues
from dlq_redrive.redrive_planning import broken_rule
from dlq_redrive.redrive_request import parse_redrive_request
from dlq_redrive.senders import LONGEST_RUN_SECONDS, Clients, Sender
from dlq_redrive.table_keys import count_key
from dlq_redrive.ways_back import Ways
from local.cli.accounts import account_id, session
from local.cli.errors import CommandError
from local.cli.export import caller
from local.cli.operations.hub import DeployedHub
from local.cli.output import Output, counted
from local.cli.project import command_line
from local.cli.redrive.quarantined import Quarantined, home_of, open_quarantine, queue_arn
from local.cli.redrive.returning import MEND, CallRefused, Outcome, Returned, Returner, Route


@dataclass(frozen=True)
class ReturnOptions:
    """Which dead letters: by key, or all of one queue; where to, unless they say so themselves; whether one
    may be sent again that may have been sent, and one to a target that does not send here what fails there.
    """

    keys: tuple[str, ...] = ()
    queue: str | None = None
    all_of_queue: bool = False
    destination: str | None = None
    again: bool = False
    unbound: bool = False


def give_back(hub: DeployedHub, output: Output, options: ReturnOptions) -> int:
    """Send dead letters back, one by one, and show what became of each; 1 when one was not sent.

    Raises CommandError, before anything is sent, for keys outside of the quarantine and for a choice that is
    none.
    """
    quarantined = open_quarantine(hub, *options.keys)
    keys = _chosen(hub, quarantined, options)
    routes = Routes(hub, options.destination, unbound=options.unbound)
    returner = Returner(
        quarantined=quarantined,
        route=routes.of,
        forget_count=lambda letter: _forget_count(hub, letter),
        caller=caller(hub.account),
        clock=lambda: datetime.now(UTC),
        new_id=lambda: uuid.uuid4().hex,
        again=options.again,
    )
    batch = Batch(returner, output)
    with output.step(f"Return {counted(len(keys), 'dead letter')}") as step:
        for number, key in enumerate(keys, start=1):
            step.progress(f"{number:,} of {len(keys):,}")
            batch.take(key)
        step.failed = batch.failed > 0
        step.result = f"{counted(batch.sent, 'message')} sent, {batch.before:,} before, {batch.failed:,} not"
    output.document({"hub": hub.document(), "letters": batch.documents})
    return 1 if batch.failed else 0


class Batch:
    """The dead letters of one command. A queue whose messages are refused is not tried further, and a group
    of a FIFO queue stops at the first that is not sent, since what follows must not overtake it."""

    def __init__(self, returner: Returner, output: Output) -> None:
        self._returner = returner
        self._output = output
        self._stopped: set[tuple[str, str | None]] = set()
        self.documents: list[dict[str, Any]] = []
        self.sent = 0
        self.before = 0
        self.failed = 0

    def take(self, key: str) -> None:
        """Return one, or say why not."""
        queue = _queue_of(key)
        group = (queue, self._group_of(key))
        if group in self._stopped or (queue, None) in self._stopped:
            self._fail(key, CommandError(f"{key} was not tried, since one before it was not sent."))
            return
        try:
            returned = self._returner.give_back(key)
        except CommandError as error:
            if isinstance(error, CallRefused):
                self._stopped.add((queue, None))
            elif is_fifo(queue):
                self._stopped.add(group)
            self._fail(key, error)
        else:
            self._succeed(key, returned)

    def _group_of(self, key: str) -> str | None:
        """The group of a message of a FIFO queue, or its own key where it has none."""
        if not is_fifo(_queue_of(key)):
            return key
        found = self._returner.quarantined.find(key)
        return key if found is None else found.letter.to_letter().group_id or key

    def _succeed(self, key: str, returned: Returned) -> None:
        if returned.outcome is Outcome.RETURNED:
            self.sent += 1
            self._output.good(f"{key} was sent")
        else:
            self.before += 1
            self._output.warning(f"{key} was sent before, at {returned.sent_at}")
        if not returned.removed:
            self._output.warning(
                f"{key} is still there; return it again to have it removed, which sends nothing"
            )
        self.documents.append(
            {
                "key": key,
                "outcome": returned.outcome.value,
                "sentAt": returned.sent_at,
                "removed": returned.removed,
            }
        )

    def _fail(self, key: str, error: CommandError) -> None:
        self.failed += 1
        self._output.bad(f"{error.what} {error.todo}".rstrip())
        self.documents.append({"key": key, "outcome": "NOT_RETURNED", "error": error.what})


class Routes:
    """The ways back of the stack's queues. What a message says of its target is believed where what fails
    there goes to its queue, as in a redrive, or always where that is asked for by `unbound`."""

    def __init__(self, hub: DeployedHub, destination: str | None, *, unbound: bool) -> None:
        self._hub = hub
        self._destination = destination
        self._unbound = unbound
        self._known: dict[str, Route] = {}

    def of(self, letter: QuarantinedLetter) -> Route:
        """How a letter's message is sent back; raises CommandError for a destination that it cannot have, and
        where its queue cannot be read."""
        if letter.queue_arn not in self._known:
            self._known[letter.queue_arn] = self._route(self._queue(letter))
        return self._known[letter.queue_arn]

    def _route(self, queue: DeadLetterQueue) -> Route:
        hub = self._hub
        destination = self._destination_of(queue)
        bus = hub.outputs.get("EventBusName", "")
        bindings = Bindings(self._clients, hub.client("scheduler"), queue, hub.stack_name)
        sender = Sender(self._clients, queue, None if self._unbound else bindings)
        return Route(Ways(queue, home_of(hub), bus, destination), sender)

    def _queue(self, letter: QuarantinedLetter) -> DeadLetterQueue:
        """The queue that a letter died in; as the letter says where it is gone by now or lost its tag. Raises
        CallRefused where it cannot be read; what other queues refuse is nothing to this one."""
        for queue in self._found.queues:
            if queue.arn == letter.queue_arn:
                return queue
        failure = self._found.failures.get(letter.queue_name)
        if failure is not None and not isinstance(failure, QueueGone):
            raise CallRefused(f"The queue {letter.queue_name} cannot be looked at. {failure}", MEND)
        place = f"{self._hub.client('sqs').meta.endpoint_url}/{account_id(self._hub.account)}"
        return DeadLetterQueue(f"{place}/{letter.queue_name}", letter.queue_arn, letter.kind)

    @cached_property
    def _found(self) -> Found:
        return find_dead_letter_queues(self._hub.client("sqs"), self._hub.stack_name)

    @cached_property
    def _clients(self) -> Clients:
        hub = self._hub
        return Clients(
            sqs=sending_client(hub, "sqs"),
            events=sending_client(hub, "events"),
            functions=sending_client(hub, "lambda"),
            executions=sending_client(hub, "stepfunctions"),
            streams=hub.client("dynamodbstreams"),
            pipes=hub.client("pipes"),
            firehose=sending_client(hub, "firehose"),
        )

    def _destination_of(self, queue: DeadLetterQueue) -> str | None:
        if self._destination is None:
            return None
        arn = queue_arn(self._hub, self._destination)
        try:
            asked = {"queueArn": queue.arn, "destinationArn": arn}
            request = parse_redrive_request(asked, home_of(self._hub))
        except InvalidInput as error:
            raise CommandError(f"--destination {self._destination} cannot be taken. {error}") from None
        if broken := broken_rule(request, queue):
            raise CommandError(f"--destination {self._destination} cannot be taken. {broken}")
        return arn


def _forget_count(hub: DeployedHub, letter: QuarantinedLetter) -> None:
    """Forget how often the message of a letter, as it is now, was redriven."""
    identity = message_identity(letter.queue_arn, letter.kind, letter.to_letter())
    hub.client("dynamodb").delete_item(TableName=hub.table, Key=count_key(letter.queue_name, identity))


def sending_client(hub: DeployedHub, service: str) -> Any:
    """A client that waits as long as a function may run and never sends twice by itself."""
    config = Config(read_timeout=LONGEST_RUN_SECONDS, retries={"total_max_attempts": 1})
    boto: Any = session(hub.account)
    return boto.client(service, config=config, endpoint_url=hub.account.endpoint)


def _chosen(hub: DeployedHub, quarantined: Quarantined, options: ReturnOptions) -> list[str]:
    """The keys in the order in which the messages died, as far as it matters."""
    if bool(options.keys) == bool(options.queue) or options.all_of_queue != bool(options.queue):
        raise CommandError("Which dead letters?", "Give their keys, or --queue with a name and --all.")
    if options.queue is None:
        keys = list(dict.fromkeys(options.keys))
    else:
        name = name_of_queue(queue_arn(hub, options.queue))
        keys = [one.key for one in quarantined.list(name)]
        if not keys:
            raise CommandError(
                f"Nothing of the queue {name} lies in quarantine.",
                f"`{command_line()} redrive list` shows what does.",
            )
    return keys if len(keys) == 1 else sorted(keys, key=lambda key: _order(quarantined, key))


def _order(quarantined: Quarantined, key: str) -> tuple[str, int, int]:
    """By queue; in a FIFO queue as the messages were sent there, which standard queues do not promise."""
    queue = _queue_of(key)
    found = quarantined.find(key) if is_fifo(queue) else None
    if found is None:
        return (queue, 0, 0)
    attributes = found.letter.attributes
    return (queue, int(attributes.get("SentTimestamp", "0")), int(attributes.get("SequenceNumber", "0")))


def _queue_of(key: str) -> str:
    return key.split("/")[1]
