"""Units of size."""

from __future__ import annotations

MEBIBYTE = 1024 * 1024
"""Bytes."""
