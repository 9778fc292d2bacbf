"""What a query costs.

Amazon Athena pricing, us-east-1, November 2026: 5 dollars for a terabyte scanned, counted in megabytes and
ten of them at least; statements that define something cost nothing.
"""

from __future__ import annotations

DOLLARS_PER_TERABYTE = 5.0
LEAST_BYTES = 10 * 2**20
_MEGABYTE = 2**20
_TERABYTE = 2**40
_UNITS = ("bytes", "KB", "MB", "GB", "TB")
_STEP = 1024


def query_dollars(scanned_bytes: int) -> float:
    """What Athena charges for a query that scanned so much."""
    megabytes = -(-max(scanned_bytes, LEAST_BYTES) // _MEGABYTE)
    return megabytes * _MEGABYTE / _TERABYTE * DOLLARS_PER_TERABYTE


def dollars_text(dollars: float) -> str:
    """An amount as people read it; small ones with the digits that tell them apart."""
    return f"${dollars:,.2f}" if dollars >= 1 else f"${dollars:.5f}"


def bytes_text(count: int) -> str:
    """A number of bytes as people read it: 812 bytes, 1.5 MB."""
    size = float(count)
    for unit in _UNITS:
        if size < _STEP or unit == _UNITS[-1]:
            return f"{count:,} {unit}" if unit == _UNITS[0] else f"{size:,.1f} {unit}"
        size /= _STEP
    raise AssertionError
