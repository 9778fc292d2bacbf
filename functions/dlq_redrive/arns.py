"""Amazon Resource Names, and whether they belong where the workflow runs.

Follows «Amazon Resource Names (ARNs)» of the AWS General Reference.
"""

from __future__ import annotations

from dataclasses import dataclass

_PARTS = 6

_DASHES_OF_ANOTHER = 2
"""CloudFormation puts one dash between the name of a resource and the letters and digits that it adds."""


@dataclass(frozen=True)
class Home:
    """Partition, region and account that the workflow runs in, which it sends to and no other."""

    partition: str
    region: str
    account: str

    @classmethod
    def of_function(cls, function_arn: str) -> Home:
        """Where the function of that ARN runs."""
        _, partition, _, region, account, *_ = function_arn.split(":")
        return cls(partition, region, account)

    def queue_arn(self, name: str) -> str:
        """The ARN of a queue of that name."""
        return f"arn:{self.partition}:sqs:{self.region}:{self.account}:{name}"


@dataclass(frozen=True)
class Arn:
    """The parts of an ARN. `resource` is the rest, such as a queue's name or `function:name:alias`."""

    partition: str
    service: str
    region: str
    account: str
    resource: str

    def is_at(self, home: Home) -> bool:
        """Whether it names something of that partition, region and account."""
        return (self.partition, self.region, self.account) == (home.partition, home.region, home.account)


def parse_arn(text: object) -> Arn | None:
    """The parts of the ARN in `text`, None when it is none."""
    parts = text.split(":", _PARTS - 1) if isinstance(text, str) else []
    if len(parts) != _PARTS or parts[0] != "arn" or not all((parts[1], parts[2], parts[5])):
        return None
    return Arn(*parts[1:])


def name_of_queue(arn: str) -> str:
    """The name of the queue of an ARN."""
    return arn.rpartition(":")[2]


def is_of_stack(name: str, stack: str) -> bool:
    """Whether a queue or a function of that name may be one of the stack: it begins with the stack's name and
    has no more parts than CloudFormation gives it. With more it is of a stack whose name begins alike, and no
    right of this one reaches it."""
    own = name.removeprefix(f"{stack}-")
    return own not in ("", name) and own.count("-") < _DASHES_OF_ANOTHER


def is_fifo(name: str) -> bool:
    """Whether a queue of that name, or ARN, is a FIFO queue."""
    return name.endswith(".fifo")
