"""The whole of it in one command: deploy, load, export in full, change, export again, redrive, and
check the sums."""
