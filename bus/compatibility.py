"""Can a reader with a new schema read everything that was written with an old one?

Avro's own resolution rules, and stricter where Avro would go on with a different meaning: a decimal that
changes its scale, a date that becomes a plain number, a record or a field's place that changes its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

Schema = Any  # JSON: a name, a list (union) or a mapping

_PRIMITIVES: Final = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
# Writer's type → reader's types that Avro reads it into. bytes ↔ string is left out on purpose: amounts are
# bytes here, and bytes read as text are garbage, not a promotion.
_PROMOTIONS: Final = {
    "int": {"int", "long", "float", "double"},
    "long": {"long", "float", "double"},
    "float": {"float", "double"},
}
# What of a type's annotations changes the meaning of its bytes.
_MEANING: Final = ("logicalType", "precision", "scale")


def breaks(reader: Schema, writer: Schema) -> list[str]:
    """Every way in which the new reader could not read the old writer's records; empty when it can."""
    return _compare(reader, writer, "", _names(reader), _names(writer))


def _compare(
    reader: Schema, writer: Schema, path: str, readers: dict[str, Schema], writers: dict[str, Schema]
) -> list[str]:
    reader, writer = _resolve(reader, readers), _resolve(writer, writers)
    at = path or "the record"
    if isinstance(writer, list):
        return [fault for branch in writer for fault in _compare(reader, branch, path, readers, writers)]
    if isinstance(reader, list):
        if any(not _compare(branch, writer, path, readers, writers) for branch in reader):
            return []
        return [f"{at}: nothing in the union can read {_name(writer)}"]
    kind, old = reader["type"], writer["type"]
    if old in _PRIMITIVES:
        if kind not in _PROMOTIONS.get(old, {old}):
            return [f"{at}: {old} cannot be read as {kind}"]
        changed = [name for name in _MEANING if reader.get(name) != writer.get(name)]
        return [f"{at}: {name} was {writer.get(name)}, is {reader.get(name)}" for name in changed]
    if kind != old:
        return [f"{at}: {old} cannot be read as {kind}"]
    match kind:
        case "record":
            return _compare_records(reader, writer, path, readers, writers)
        case "array":
            return _compare(reader["items"], writer["items"], f"{path}[]", readers, writers)
        case "map":
            return _compare(reader["values"], writer["values"], f"{path}{{}}", readers, writers)
        case "enum":
            gone = [one for one in writer["symbols"] if one not in reader["symbols"]]
            return [] if not gone or "default" in reader else [f"{at}: symbols {gone} are gone"]
        case _:
            same = reader.get("size") == writer.get("size") and reader.get("name") == writer.get("name")
            return [] if same else [f"{at}: fixed changed its size or name"]


def _compare_records(
    reader: Mapping[str, Any],
    writer: Mapping[str, Any],
    path: str,
    readers: dict[str, Schema],
    writers: dict[str, Schema],
) -> list[str]:
    faults = []
    if _full_name(reader) != _full_name(writer) and _full_name(writer) not in reader.get("aliases", []):
        faults.append(f"{path or 'the record'}: was named {_full_name(writer)}, is {_full_name(reader)}")
    written = {field["name"]: field for field in writer["fields"]}
    for field in reader["fields"]:
        name = field["name"]
        here = f"{path}.{name}" if path else name
        source = next((written[one] for one in (name, *field.get("aliases", ())) if one in written), None)
        if source is not None:
            faults += _compare(field["type"], source["type"], here, readers, writers)
        elif "default" not in field:
            faults.append(f"{here}: new without a default, so old records cannot be read")
    taken = {one for field in reader["fields"] for one in (field["name"], *field.get("aliases", ()))}
    # Avro skips a field nobody reads; here a column that vanishes without a word is lost money.
    faults += [
        f"{path + '.' if path else ''}{name}: gone, and it had no default"
        for name, field in written.items()
        if name not in taken and "default" not in field
    ]
    return faults


def _resolve(schema: Schema, names: dict[str, Schema]) -> Any:
    if isinstance(schema, str):
        return {"type": schema} if schema in _PRIMITIVES else names[schema]
    if isinstance(schema, Mapping) and not isinstance(schema["type"], str):
        return _resolve(schema["type"], names)
    return schema


def _names(schema: Schema) -> dict[str, Schema]:
    found: dict[str, Schema] = {}
    if isinstance(schema, list):
        for one in schema:
            found |= _names(one)
    elif isinstance(schema, Mapping):
        if "name" in schema and schema["type"] in ("record", "enum", "fixed"):
            found |= {_full_name(schema): schema, schema["name"]: schema}
        for field in schema.get("fields", ()):
            found |= _names(field["type"])
        for part in ("items", "values"):
            if part in schema:
                found |= _names(schema[part])
        if not isinstance(schema["type"], str):
            found |= _names(schema["type"])
    return found


def _full_name(schema: Mapping[str, Any]) -> str:
    space = schema.get("namespace")
    return f"{space}.{schema['name']}" if space else str(schema["name"])


def _name(schema: Mapping[str, Any]) -> str:
    return str(schema.get("logicalType") or schema["type"])
