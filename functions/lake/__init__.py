"""The lake: Parquet files by resource type and day of export, which lose nothing of what was exported."""
