"""Records as Parquet: explicit columns, equal bytes for equal content, and never a half-written file.

A record's fields become plain columns (text, int64, float64, bool, lists, lists of flat records) that DuckDB, pandas,
polars and `datasets` read directly. Only free-form dicts become JSON text.
"""

import json
import types
from collections.abc import Collection, Iterable
from enum import Enum
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from leap_core.disk.canonical import canonical_json
from leap_core.disk.files import write_atomically
from leap_core.errors import ArtifactError
from leap_core.types import SCHEMA_VERSION, Record

RecordT = TypeVar("RecordT", bound=Record)

_ROWS_PER_GROUP = 4096
_VERSION_KEY = b"leap.schema_version"
_PLAIN: dict[type, pa.DataType] = {str: pa.string(), bool: pa.bool_(), int: pa.int64(), float: pa.float64()}


def write_records(
    path: Path, model: type[RecordT], records: Iterable[RecordT], leave_out: Collection[str] = ()
) -> None:
    """Write one row a record, in order, without the columns to `leave_out`. No records give columns and no rows."""
    schema, free_form = _without(record_schema(model), leave_out), _free_form(model)
    remaining = iter(records)

    def write(file: Any) -> None:
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            while rows := [_to_row(record, free_form) for record in islice(remaining, _ROWS_PER_GROUP)]:
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))

    write_atomically(path, write)


def read_records(path: Path, model: type[RecordT], optional: Collection[str] = ()) -> list[RecordT]:
    """Return what `write_records` wrote: equal records, in the same order.

    `optional` names fields with a default, whose columns may be missing.

    Raises:
        ArtifactError: the file is missing or not Parquet, or its columns or values are not those of `model`.
    """
    table = _read_table(path)
    _check_columns(path, model, table.schema, optional)
    free_form = _free_form(model)
    rows = (row for batch in table.to_batches(_ROWS_PER_GROUP) for row in batch.to_pylist())
    try:
        return [_from_row(model, row, free_form) for row in rows]
    except (ValidationError, ValueError) as error:
        raise ArtifactError(f"{path} has a row that is not a {model.__name__}: {error}", item=str(path)) from error


@cache
def record_schema(model: type[Record]) -> pa.Schema:
    """Return the columns of a record: one for each field, in order; nullable where the field may be None."""
    fields = [_column(name, field.annotation) for name, field in model.model_fields.items()]
    return pa.schema(fields, metadata={_VERSION_KEY: str(SCHEMA_VERSION).encode()})


def _read_table(path: Path) -> pa.Table:
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            return file.read()
    except FileNotFoundError as error:
        raise ArtifactError(f"{path} is missing. Run the stage that makes it again.", item=str(path)) from error
    except (pa.ArrowException, OSError) as error:
        raise ArtifactError(
            f"{path} is not readable as Parquet: {error}. Delete it and run its stage again.", item=str(path)
        ) from error


def _check_columns(path: Path, model: type[Record], found: pa.Schema, optional: Collection[str]) -> None:
    expected = _without(record_schema(model), set(optional).difference(found.names))
    if not found.equals(expected):
        raise ArtifactError(
            f"{path} does not hold {model.__name__} rows: expected the columns {_shown(expected)}; "
            f"came: {_shown(found)}. Check the path, or make the artifact again with this version.",
            item=str(path),
        )
    version = (found.metadata or {}).get(_VERSION_KEY, b"none").decode()
    if version != str(SCHEMA_VERSION):
        raise ArtifactError(
            f"{path} has schema version {version}; this code reads {SCHEMA_VERSION}. Make the artifact again.",
            item=str(path),
        )


def _without(schema: pa.Schema, names: Collection[str]) -> pa.Schema:
    for name in names:
        schema = schema.remove(schema.get_field_index(name))
    return schema


def _shown(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)


def _to_row(record: Record, free_form: frozenset[str]) -> dict[str, Any]:
    row = record.model_dump(mode="json")
    for name in free_form:
        row[name] = canonical_json(row[name])
    return row


def _from_row(model: type[RecordT], row: dict[str, Any], free_form: frozenset[str]) -> RecordT:
    for name in free_form:
        row[name] = json.loads(row[name])
    return model.model_validate(row)


@cache
def _free_form(model: type[Record]) -> frozenset[str]:
    return frozenset(name for name, field in model.model_fields.items() if get_origin(field.annotation) is dict)


def _column(name: str, annotation: Any) -> "pa.Field[Any]":
    kinds = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    present = [kind for kind in kinds if kind is not type(None)]
    if len(present) != 1:
        raise TypeError(f"Field {name!r} may be of several types ({annotation}); a column has one.")
    return pa.field(name, _arrow_type(name, present[0]), nullable=len(present) < len(kinds))


def _arrow_type(name: str, kind: Any) -> pa.DataType:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is dict:
        return pa.string()
    if origin is Literal:
        return _PLAIN[type(arguments[0])]
    if origin is tuple and arguments[1:] == (Ellipsis,):
        return pa.list_(pa.field("item", _arrow_type(name, arguments[0]), nullable=False))
    if isinstance(kind, type) and issubclass(kind, Record):
        return pa.struct(list(record_schema(kind)))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return pa.string()
    if kind in _PLAIN:
        return _PLAIN[kind]
    raise TypeError(f"Field {name!r} is of type {kind}, for which there is no column type.")
