"""Situations that a redrive starts from or gets into: SQS's own move tasks, its own and those of others."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from local.stepfunctions.workbench_run import Run
from local.testing.redrive_queues import Queue
from local.testing.redrive_situations import Situations
from local.testing.task_faults import answer_lost, refusal

WAITING = "Wait For The Move Task"
_SECONDS = 60.0
_LONG_WAITS = 9
_REFUSED = refusal("Sqs.UnsupportedOperationException")
_START = "Start The Move Task"


class TaskSituations(Situations):
    """Situations of one hub, those with move tasks among them."""

    def bulk(self) -> Run:
        self.pair()
        return self.hub.run()

    def elsewhere(self) -> Run:
        dead, _ = self.pair()
        other = self.other_queue()
        return self.hub.run({"queueArn": dead.arn, "destinationArn": other.arn, "mode": "bulk"})

    def beside_another(self) -> Run:
        self._moving()
        return self._moved()

    def dead_owner(self) -> Run:
        self._moving()[1].stop()
        return self._moved()

    def foreign(self) -> Run:
        dead, _ = self.pair()
        self.hub.bench.moves.pause()
        self.hub.sqs.start_message_move_task(SourceArn=dead.arn)
        return self.hub.run()

    def foreign_before(self) -> Run:
        dead, work = self.pair()
        self.hub.sqs.start_message_move_task(SourceArn=dead.arn)
        self.hub.bench.moves.wait(dead.arn)
        self.hub.die(work)
        return self.hub.run()

    def foreign_meanwhile(self) -> Run:
        """Somebody starts a task after this redrive has looked for one, and before it starts its own."""
        dead, _ = self.pair()
        self.hub.bench.moves.pause()

        def too_late(call: Callable[[], Any]) -> Any:
            self.hub.sqs.start_message_move_task(SourceArn=dead.arn)
            return _REFUSED(call)

        self.plan(too_late, at=_START)
        return self.hub.run()

    def long(self) -> Run:
        self.pair()
        self.hub.bench.moves.pause()
        run = self.hub.bench.start()
        self.hub.bench.wait_until(lambda: run.path.count(WAITING) >= _LONG_WAITS, _SECONDS)
        self.hub.bench.moves.resume()
        return run.wait(_SECONDS)

    def start_unanswered(self) -> Run:
        self.pair()
        self.plan(answer_lost(_REFUSED), at=_START)
        self.hub.bench.moves.pause()
        return self._moved()

    def start_unanswered_for_long(self) -> Run:
        """The task has ended when it is asked for."""
        dead, _ = self.pair()

        def unanswered(call: Callable[[], Any]) -> Any:
            call()
            self.hub.bench.moves.wait(dead.arn)
            return _REFUSED(call)

        self.plan(unanswered, at=_START)
        return self.hub.run()

    def start_refused(self) -> Run:
        self.plan(_REFUSED, at=_START)
        return self.bulk()

    def start_refused_after_another(self) -> Run:
        """SQS has redriven the queue before, long ago."""
        dead, _ = self.pair()
        self.hub.note_redrive(dead, since=timedelta(days=90), by_sqs=True)
        self.plan(_REFUSED, at=_START)
        return self.hub.run()

    def task_cancelled(self) -> Run:
        dead, run = self._moving()
        listed = self.hub.sqs.list_message_move_tasks(SourceArn=dead.arn)["Results"]
        self.hub.sqs.cancel_message_move_task(TaskHandle=listed[0]["TaskHandle"])
        self.hub.bench.moves.resume()
        return run.wait(_SECONDS)

    def task_failed(self) -> Run:
        _, run = self._moving(delete_work=True)
        self.hub.bench.moves.resume()
        return run.wait(_SECONDS)

    def task_forgotten(self) -> Run:
        """Or lists it so late that nobody waits for it any more."""
        self.plan(*[lambda _: {"Results": []}] * _LONG_WAITS, at="Ask About The Move Task")
        return self.bulk()

    def task_forgotten_afterwards(self) -> Run:
        self.plan(lambda _: {"Results": []}, at="Ask How Many Were Moved")
        return self.bulk()

    def after_another(self) -> Run:
        """Another redrive has ended since this one was planned."""
        dead, _ = self.pair()

        def ended(call: Callable[[], Any]) -> Any:
            self.hub.note_redrive(dead)
            return call()

        self.plan(ended, at="Note That SQS Redrives It")
        return self.hub.run()

    def origin_unknown(self) -> Run:
        """Messages that were sent to the dead-letter queue itself: SQS does not know where they belong."""
        dead, _ = self.pair()
        self.hub.send(dead, ["b"])
        return self.hub.run()

    def _moved(self) -> Run:
        """A redrive whose move task goes on once it waits for it, if it does."""
        run = self.hub.bench.start()
        self.hub.bench.wait_until(lambda: WAITING in run.path or run.status != "RUNNING", _SECONDS)
        self.hub.bench.moves.resume()
        return run.wait(_SECONDS)

    def _moving(self, delete_work: bool = False) -> tuple[Queue, Run]:
        dead, work = self.pair()
        self.hub.bench.moves.pause()
        run = self.hub.start(until=WAITING)
        if delete_work:
            self.hub.sqs.delete_queue(QueueUrl=work.url)
        return dead, run
