"""The jobs, by the name of the rule in functions/transitions/rules.json whose transitions ask for them."""

from hub_worker.jobs.contract import Job, Work
from hub_worker.jobs.registry import JOBS

__all__ = ["JOBS", "Job", "Work"]
