"""The only place that names ministack's private names.

ministack has no plugin interface, so parts of the local account are joined to it through names that it does
not promise to keep. Each is listed here with the module it lives in; the account refuses to start when one of
them is gone, and says which.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module, metadata
from typing import Any

PINNED_VERSION = "1.5.33"

PRIVATE_NAMES: Mapping[str, tuple[str, ...]] = {
    # requests: one ASGI application, services looked up by name
    "ministack.app": (
        "app",
        "AUTH",
        "BANNER",
        "SERVICE_REGISTRY",
        "SERVICE_HANDLERS",
        "_registry_state_map",
        "_state_map",
        "_loaded_modules",
        "call_service_handler_sync",
    ),
    "ministack.core.concurrency": ("run_reentrant",),
    "ministack.core.router": ("SERVICE_PATTERNS", "detect_service"),
    "ministack.core.responses": (
        "get_account_id",
        "get_region",
        "set_request_account_id",
        "set_request_region",
    ),
    # identity: sessions of roles, actions of requests
    "ministack.core.iam_actions": ("extract_iam_action", "extract_resource_arn", "s3_service_context"),
    "ministack.core.iam_evaluator": (
        "EvalContext",
        "_first_match",
        "_resolve_condition_key",
        "_request_caller_arn",
        "_verified_key",
        "enforce",
        "evaluate_resource_policy",
        "pin_request_origin",
    ),
    "ministack.services.sts": ("register_session",),
    "ministack.services.iam": ("_roles",),
    # functions: worker processes and the answer built from theirs
    "ministack.core.lambda_runtime": (
        "Worker",
        "_PYTHON_WORKER_SCRIPT",
        "_workers",
        "_lock",
        "execution_credentials",
        "kill_workers",
        "zipfile",
    ),
    "ministack.services.lambda_svc": (
        "_dynamodb_stream_positions",
        "_emit_lambda_metrics",
        "_ensure_poller",
        "_esms",
        "_event_invoke_config",
        "_execute_function",
        "_execute_function_dispatch",
        "_execute_function_warm",
        "_execution_record_for_config",
        "_functions",
        "_get_func_record_for_qualifier",
        "_get_func_record_for_ref",
        "_poll_dynamodb_streams",
        "_resolve_layer_zip",
        "_route_async_failure",
        "_sqs_esm_concurrency",
        "function_policy_for_arn",
        "invoke_async_with_retry",
        "reset",
    ),
    "ministack.services.cloudwatch_logs": ("_append_log_events",),
    # state machines: the store stays ministack's, executions do not
    "ministack.services.stepfunctions": ("handle_request", "_start_execution", "_state_machines"),
    # events, and resources of CloudFormation
    "ministack.services.eventbridge": (
        "_compiled_pattern",
        "_dispatch_event",
        "_dispatch_to_sqs",
        "_event_pattern_error",
        "_invoke_target",
        "_matches_detail",
        "_now_ts",
        "_pattern_event_view",
        "_put_events",
    ),
    "ministack.services.cloudformation.provisioners": (
        "_RESOURCE_HANDLERS",
        "_cw_metric_alarm_record",
        "_pipes_pipe_create",
        "_pipes_pipe_fields",
    ),
    # metrics and alarms, and what is measured
    "ministack.services.cloudwatch": (
        "_alarms",
        "_metrics",
        "_calc_stats",
        "_dims_from_list",
        "_dims_key",
        "_dispatch_alarm_actions",
        "_evaluate_alarm",
        "_evaluate_parent_alarms",
        "_put_metric_alarm",
        "_record_history",
        "_stat_value",
        "_store_datum",
        "record_metric",
    ),
    # queues: moved messages, and one thread at a time
    "ministack.services.sqs": (
        "_Err",
        "_HANDLERS",
        "_QUERY_COMPAT_CODES",
        "_act_send_message",
        "_collect_msgs",
        "_dlq_sweep",
        "_ensure_msg_fields",
        "_expire_retained",
        "_get_q",
        "_normalise",
        "_p",
        "_queue_by_arn",
        "_queues",
        "_queues_lock",
        "_refresh_counts",
        "_to_xml",
        "_xml_resp",
        "queue_policy_allows",
    ),
    "ministack.services.kms": ("_resolve_key",),
    # delivery streams: the store and its API stay, delivery does not
    "ministack.services.firehose": (
        "_DeliveryError",
        "_HANDLERS",
        "_deliver_records_to_s3",
        "_evaluate_prefix",
        "_java_time",
        "_metadata_extraction_keys",
        "_record_id",
        "_streams",
    ),
    "ministack.services.sns": ("_deliver_to_lambda", "_deliver_to_sqs"),
    # streams of tables, and pipes that read them: the store stays ministack's, reading and delivery do not
    "ministack.services.dynamodb": (
        "_emit_stream_event",
        "_item_size_bytes",
        "_tables",
        "stream_end_position",
        "stream_records_since",
        "stream_start_position",
    ),
    "ministack.services.pipes": (
        "_create_pipe",
        "_describe_response",
        "_ensure_poller",
        "_error",
        "_initial_position",
        "_pipes",
        "_positions",
        "_update_pipe",
        "reset",
    ),
    # queries: workgroups and records stay ministack's, executions do not; tables and objects are read
    "ministack.services.athena": (
        "_executions",
        "_get_query_results",
        "_start_query_execution",
        "_stop_query_execution",
        "_workgroups",
    ),
    "ministack.services.glue": ("_batch_update_partition", "_databases", "_partitions", "_tables"),
    "ministack.services.s3": ("_buckets", "_deliver_event_to_sqs", "_get_object_data", "_put_object"),
}


class MinistackNameMissing(RuntimeError):
    """A private name of ministack that the local account builds on is not there."""

    def __init__(self, module: str, name: str) -> None:
        super().__init__(
            f"ministack {PINNED_VERSION} is expected, ministack {_installed_version()} is installed, and "
            f"{module} has no '{name}'. Install the pinned version (make setup), or adapt "
            "local/account/ministack_names.py and the part that uses the name."
        )


def ministack(module: str) -> Any:
    """The module of ministack by its full name, once every name listed for it was found in it.

    Raises MinistackNameMissing for a name that is gone, KeyError for a module that is not listed above.
    """
    names = PRIVATE_NAMES[module]
    try:
        loaded = import_module(module)
    except ModuleNotFoundError:
        raise MinistackNameMissing(module, "(the module itself)") from None
    for name in names:
        if not hasattr(loaded, name):
            raise MinistackNameMissing(module, name)
    return loaded


def assert_private_names() -> None:
    """Raise MinistackNameMissing for the first listed name that the installed ministack does not have."""
    for missing in missing_names():
        raise missing


def missing_names() -> Iterator[MinistackNameMissing]:
    """An error for each listed module with a missing name."""
    for module in PRIVATE_NAMES:
        try:
            ministack(module)
        except MinistackNameMissing as error:
            yield error


def _installed_version() -> str:
    try:
        return metadata.version("ministack")
    except metadata.PackageNotFoundError:
        return "(none)"
