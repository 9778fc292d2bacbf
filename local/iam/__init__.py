"""What the local account's IAM lacks: variables in policies, condition keys."""
