"""The command line of the local account: `python -m local`."""
