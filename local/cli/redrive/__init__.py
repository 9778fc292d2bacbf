"""`redrive`: dead letters sent back by the hub's workflow, and those in quarantine one by one."""
