"""Athena of the local account: Trino's SQL as the stack uses it, on DuckDB, over the tables of Glue."""
