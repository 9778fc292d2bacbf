"""Soak tests: every permission taken away once, and hundreds of runs of each workflow with random faults."""
