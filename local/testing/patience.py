"""How long a test waits for what must happen."""

PATIENCE_SECONDS = 120.0
"""Only so that a test that waits in vain comes to an end: what it waits for takes a fraction of a second, and
seconds on a machine that is busy with other things."""
