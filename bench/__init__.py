"""Benchmarks, run by `make bench` and never by `make test`: they need a quiet machine and minutes."""
