"""Transitions: declared conditions on how an item of the jobs table changes, and what each leads to."""
