"""Export workflow: from HealthLake's `$export` to one event per changed resource, all accounted for.

Handlers, in the order in which an execution meets them: `acquire_run_lock` (and `take_over_run` when a
dead run holds the lock), `start_export`, `check_export`, `plan_ranges`, `process_range`, `reconcile_run`,
`advance_watermark`, `publish_run_events`; `clean_up_failed_run` whenever something fails.
"""
