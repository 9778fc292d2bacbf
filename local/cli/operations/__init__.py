"""Commands for an operator: runs, ledger, quarantine and state of a deployed hub, local or in AWS."""
