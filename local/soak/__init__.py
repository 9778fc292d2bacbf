"""Soak tests: permissions taken away one by one, and hundreds of runs of each workflow with random faults."""
