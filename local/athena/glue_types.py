"""Types of columns in Glue, which are Hive's («Data types in Amazon Athena»), in DuckDB's words."""

from __future__ import annotations

_SIMPLE = {
    "string": "VARCHAR",
    "int": "INTEGER",
    "binary": "BLOB",
    "timestamp": "TIMESTAMP",
    "float": "FLOAT",
}


def duckdb_type(glue: str) -> str:
    """The type of a column that Glue calls `glue`: `array<struct<a:string>>` is `STRUCT("a" VARCHAR)[]`."""
    text = glue.strip()
    head, _, rest = text.partition("<")
    inner = rest.rstrip()[:-1]
    match head.strip().lower():
        case "array":
            return f"{duckdb_type(inner)}[]"
        case "map":
            return f"MAP({', '.join(duckdb_type(part) for part in _parts(inner))})"
        case "struct":
            fields = (part.split(":", 1) for part in _parts(inner))
            return "STRUCT(" + ", ".join(f'"{name}" {duckdb_type(kind)}' for name, kind in fields) + ")"
        case simple:
            base = simple.split("(")[0]
            return "VARCHAR" if base in ("char", "varchar") else _SIMPLE.get(base, simple.upper())


def _parts(inner: str) -> list[str]:
    """What commas separate that no bracket encloses."""
    parts, depth = [""], 0
    for character in inner:
        depth += (character in "<(") - (character in ">)")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts
