"""The worker program of workers/ as processes of this machine, on the queue of a deployed stack."""
