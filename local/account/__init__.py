"""The local AWS account: one process, one port, bound to 127.0.0.1."""
