"""Properties without a deadline: how long an example takes is the machine's affair, not the code's."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
