"""Why a job did not come to its end, by what has to happen with its message.

Messages of these errors are written here and name nothing but settings, fields, codes and reasons: they go to
the log and to job items, where resource content must never stand.
"""

from __future__ import annotations


class WorkerError(Exception):
    """Base of every error of the worker."""


class InvalidSetting(WorkerError):
    """A setting in the environment is missing or malformed; the message names it."""


class PoisonMessage(WorkerError):
    """A message that says no job which is known here: left for retries, then in the dead-letter queue."""


class PermanentFailure(WorkerError):
    """A job that no retry will do: recorded as FAILED with this reason, which is a word such as
    object-gone."""


class Abandoned(WorkerError):
    """Work on a job that stops before its effect is committed."""


class HandedBack(Abandoned):
    """The worker drains and has no time left: another worker takes the job at once."""


class ReceiptLost(Abandoned):
    """The message is visible again, and another worker may have it."""


class JobTooLong(Abandoned):
    """The job has worked for longer than a job may."""
