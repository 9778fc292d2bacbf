"""Soak tests: every permission taken away once, and hundreds of runs with faults drawn at random."""
