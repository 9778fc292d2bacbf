"""Step Functions of the local account and of tests, on moto's engine."""

from local.stepfunctions.late_batch import import_batch_late

import_batch_late()
