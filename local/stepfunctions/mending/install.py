"""Puts every mended behaviour of moto's Step Functions engine in place, once per process."""

from __future__ import annotations

import functools
import logging

from local.stepfunctions.mending import (
    context_object,
    data_limits,
    error_names,
    inline_maps,
    interruption,
    item_reader,
    json_paths,
    lambda_errors,
    map_redrive,
    map_runs,
    result_writer,
    service_clients,
    service_errors,
    service_parameters,
    task_callbacks,
    timestamps,
    tolerated_failure,
    waiting,
)


@functools.cache
def install() -> None:
    """Mend the engine; doing it again changes nothing.

    Raises PrivateNameMissingError when the installed moto lacks a name that is replaced.
    """
    for module in (
        interruption,
        waiting,
        task_callbacks,
        error_names,
        tolerated_failure,
        inline_maps,
        map_runs,
        map_redrive,
        data_limits,
        item_reader,
        result_writer,
        context_object,
        json_paths,
        timestamps,
        service_clients,
        service_parameters,
        service_errors,
        lambda_errors,
    ):
        module.install()
    # The engine logs what a task failed with, data included; the history holds it under access control.
    logging.getLogger("moto.stepfunctions").setLevel(logging.CRITICAL)
