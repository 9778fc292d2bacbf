"""The whole of it in one command: deploy, load, export in full, change, export again, and check the sums."""
