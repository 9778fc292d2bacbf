"""Where each message of a redrive was met, by its id, and what has to hold of that."""

from dataclasses import dataclass, replace

from local.demo.checks import Check, equal

NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True)
class RedriveCount:
    """Ids of messages. `poison` are those that nobody can read, `by_sqs` came back as SQS moves messages,
    `one_by_one` as a redrive sends them that counts; `quarantined` lie there as they were sent. `emptied`
    says that neither queue holds anything in the end."""

    sent: frozenset[str] = NOTHING
    poison: frozenset[str] = NOTHING
    dead: frozenset[str] = NOTHING
    by_sqs: frozenset[str] = NOTHING
    one_by_one: frozenset[str] = NOTHING
    processed: frozenset[str] = NOTHING
    quarantined: frozenset[str] = NOTHING
    emptied: bool = False

    @property
    def redriven(self) -> frozenset[str]:
        """What came back at all."""
        return self.dead & (self.by_sqs | self.one_by_one)

    @property
    def lost(self) -> frozenset[str]:
        """What was neither processed nor put in quarantine."""
        return self.sent - self.processed - self.quarantined

    def document(self) -> dict[str, int]:
        """The counts as written to .local/demo.json."""
        return {
            "sent": len(self.sent),
            "dead": len(self.dead),
            "redriven": len(self.redriven),
            "processed": len(self.processed),
            "quarantined": len(self.quarantined),
            "lost": len(self.lost),
        }

    def checks(self) -> list[Check]:
        """Everything that has to hold of messages that died."""
        processed, quarantined, sent = len(self.processed), len(self.quarantined), len(self.sent)
        checks = [
            Check("every message died", self.dead == self.sent != NOTHING, f"{len(self.dead):,} = {sent:,}"),
            equal("every dead letter came back", len(self.redriven), len(self.dead)),
            Check(
                "SQS moved all of them back, and what died again came one by one",
                (self.by_sqs, self.one_by_one) == (self.dead, self.poison),
                f"{len(self.by_sqs):,} and {len(self.one_by_one):,}",
            ),
            Check(
                "sent = processed + quarantined",
                sent == processed + quarantined,
                f"{sent:,} = {processed:,} + {quarantined:,}",
            ),
            equal("none is lost", len(self.lost), 0),
            Check(
                "in quarantine is what can never be read, whole",
                self.quarantined == self.poison,
                f"{quarantined:,} = {len(self.poison):,}",
            ),
            Check(
                "nothing waits in either queue",
                self.emptied,
                "both are empty" if self.emptied else "messages are still there",
            ),
        ]
        return [replace(check, name=f"dead letters: {check.name}") for check in checks]
