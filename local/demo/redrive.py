"""Dead letters of a consumer that was broken, brought back by the redrive workflow as a user starts it."""

import io
import time
from collections.abc import Callable, Sequence

from local.account.state_file import RunningAccount
from local.cli.operations.hub import DeployedHub
from local.cli.output import Output
from local.cli.redrive.endings import show_ending
from local.cli.redrive.quarantined import Quarantined
from local.cli.redrive.workflow import StartOptions, run_redrive
from local.demo.consumer import Consumer
from local.demo.consumer_queues import ConsumerQueues, sender_attributes
from local.demo.messages import Message, id_of, sample_messages
from local.demo.redrive_count import RedriveCount

# How long what is on its way between two queues may take before what is missing counts as lost.
PATIENCE_SECONDS = 20.0
# Few, so that a poison message is in quarantine soon.
MAX_REDRIVES = 2
# The redrive by SQS is the first; a last one puts in quarantine what was sent back that often.
COUNTED_RUNS = MAX_REDRIVES
ENDINGS = ("Redriven", "Returned To DLQ", "Quarantined")


def show_redrive(account: RunningAccount, hub: DeployedHub, output: Output) -> RedriveCount:
    """Let the messages of a broken consumer die, mend it and redrive them until none is dead; returns where
    each was met."""
    messages = sample_messages()
    poison = frozenset(message.id for message in messages if not message.readable)
    queues = ConsumerQueues(hub)
    with Consumer(account, queues.url) as consumer:
        with output.step(f"Send {len(messages)} messages to a consumer that is broken") as step:
            queues.send(messages)
            _wait_for(consumer, lambda: queues.waiting() == 0 and queues.dead() >= len(messages))
            dead = queues.dead_ids()
            step.result = f"{len(dead):,} are dead letters"

        consumer.deliveries.mend()
        output.line(f"The consumer is mended, but {len(poison)} of the messages can never be read.")
        redrives = _Redrives(hub, output, queues, consumer)
        redrives.run("Redrive all, moved by SQS", StartOptions(queue=queues.dead_letters_name))
        again = StartOptions(queue=queues.dead_letters_name, max_redrives=MAX_REDRIVES)
        for _ in range(COUNTED_RUNS):
            if queues.dead():
                redrives.run("Redrive what died again, one by one and counted", again)
        emptied = _wait_for(consumer, lambda: queues.waiting() == queues.dead() == 0)
    found = consumer.deliveries
    return RedriveCount(
        sent=frozenset(message.id for message in messages),
        poison=poison,
        dead=dead,
        by_sqs=found.by_sqs,
        one_by_one=found.one_by_one,
        processed=found.processed,
        quarantined=in_quarantine(hub, queues.dead_letters_name, messages),
        emptied=emptied,
    )


class _Redrives:
    """Redrives of the consumer's dead letters, each followed until the consumer has taken what came of it."""

    def __init__(self, hub: DeployedHub, output: Output, queues: ConsumerQueues, consumer: Consumer) -> None:
        self._hub = hub
        self._output = output
        self._queues = queues
        self._consumer = consumer

    def run(self, name: str, options: StartOptions) -> None:
        """Do one, and say how it ended."""
        with self._output.step(name) as step:
            # state by state is for somebody who follows one redrive; here it is one step of many
            ending = run_redrive(self._hub, Output(io.StringIO()), options)
            _wait_for(self._consumer, lambda: self._queues.waiting() == 0)
            known = ending.state in ENDINGS
            step.failed = not known
            processed, dead = len(self._consumer.deliveries.processed), self._queues.dead()
            step.result = f"{ending.state}; {processed:,} processed, {dead:,} dead"
        if not known:
            show_ending(ending, self._output)


def in_quarantine(hub: DeployedHub, queue: str, messages: Sequence[Message]) -> frozenset[str]:
    """The ids of the messages that lie in quarantine as they were sent, with body and attributes."""
    sent = {message.body for message in messages}
    quarantined = Quarantined(hub)
    letters = [quarantined.get(listed.key).letter for listed in quarantined.list(queue)]
    return frozenset(
        id_of(letter.body)
        for letter in letters
        if letter.body in sent and sender_attributes().items() <= dict(letter.message_attributes).items()
    )


def _wait_for(consumer: Consumer, happened: Callable[[], bool]) -> bool:
    """Wait until something has happened, for as long as it may take; returns whether it has."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        consumer.raise_failure()
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
