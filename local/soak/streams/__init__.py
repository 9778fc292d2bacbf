"""Thousands of writes, while deliveries come shuffled, again and late, and functions and workers die."""
