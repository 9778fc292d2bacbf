"""Amazon Data Firehose as the application needs it: buffers, transformations that fail closed, partitions,
Parquet by a Glue table, and an error prefix. ministack keeps the streams and serves their API."""
