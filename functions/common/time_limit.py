"""The end of a function's time, seen shortly before it comes: afterwards the function can say nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer

from aws_lambda_powertools.utilities.typing import LambdaContext

from common.observability import presentable


@contextmanager
def before_timeout(context: LambdaContext, seconds: float, last_words: Callable[[], None]) -> Iterator[None]:
    """Call `last_words`, in a thread of its own, when so many seconds are left and the block still runs.

    What goes wrong with them is logged. Follows the AWS Lambda Developer Guide, «Using the Lambda context
    object to retrieve Python function information».
    """

    def speak() -> None:
        try:
            last_words()
        except Exception as error:
            presentable(error)

    timer = Timer(max(context.get_remaining_time_in_millis() / 1000 - seconds, 0.0), speak)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
