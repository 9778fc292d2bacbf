"""What every function of the hub shares: settings, errors, observability, AWS clients."""
