"""Takes a cell's rows to the bytes of a part and back, and settles which rows hold where a clip has several."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vxbench.runner.parts import Damaged

# One meaning per column, for every part.
COLUMNS = {
    "clip": "str",  # the clip's id
    "label": "int64",  # ground truth, index into the data set's classes
    "target": "int64",  # the class explained; -1 for a clip that failed before
    "predicted": "int64",  # the class with the highest score of the clip as it is; -1 where nobody knows
    "status": "str",  # ok | failed
    "metric": "str",  # key of published.csv; "" for a failed clip
    "value": "float64",  # NaN where the clip cannot be scored
    "reason": "str",  # why it is NaN, or "<kind>: <message>" of a failed clip
    "degenerate": "bool",  # the map was constant
    "weight": "float64",  # what the clip counts in the mean: its number of frames where a rate is pooled over frames
    "group": "int64",  # the mean is one over groups; 0 where there is but one
    "curve": "object",  # list of float, what the value was computed from, or None
}
ATTEMPT = "attempt"  # int64, how often the clip was computed before; of parts alone
LATER = {"predicted": -1, ATTEMPT: 0}  # columns that early parts lack, and what stands in them then
STATUSES = ("ok", "failed")
VERSION = 1  # of the columns and their meaning; a part says which it has
KEY = b"vxbench"  # of a part's own facts in the schema's metadata

# Types that a column may have in a file, the first of which is written. pandas decides which string it is.
TYPES = {
    "str": (pa.large_string(), pa.string()),
    "int64": (pa.int64(),),
    "float64": (pa.float64(),),
    "bool": (pa.bool_(),),
    "object": (pa.list_(pa.float64()), pa.null()),
}
ALLOWED = {name: TYPES[kind] for name, kind in (COLUMNS | {ATTEMPT: "int64"}).items()}
SCHEMA = pa.schema([(name, types[0]) for name, types in ALLOWED.items()])
MAY_BE_NULL = ("value", "weight", "curve")  # parquet's word for NaN and None


def table_of(rows: pd.DataFrame) -> pa.Table:
    """Rows with the columns COLUMNS and ATTEMPT as they are written."""
    return pa.Table.from_pandas(rows, SCHEMA, preserve_index=False).replace_schema_metadata()


def encoded(tables: list[pa.Table], cell: str) -> bytes:
    """The part of a cell that holds what these tables hold together; the same for the same rows."""
    facts = {KEY: json.dumps({"version": VERSION, "cell": cell}).encode()}
    table = settled(tables)
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(facts), sink)
    return sink.getvalue().to_pybytes()


def decoded(content: bytes, cell: str) -> pa.Table:
    """The rows of one part of a cell.

    Raises:
        Damaged: they are of another cell or a later version, or not what rows are.
    """
    file = pq.ParquetFile(pa.BufferReader(content))
    _check_facts((file.schema_arrow.metadata or {}).get(KEY), cell)
    _check_columns(file.schema_arrow)
    table = file.read(use_threads=False).replace_schema_metadata()
    table.validate(full=True)
    _check_values(table)
    for name in [name for name in LATER if name not in table.column_names]:
        table = table.append_column(name, pa.array(np.full(len(table), LATER[name], np.int64)))
    return table.select(SCHEMA.names).cast(SCHEMA)


def _check_facts(facts: bytes | None, cell: str) -> None:
    """Parts of versions that kept no facts pass."""
    known = {"version": VERSION, "cell": cell} if facts is None else json.loads(facts)
    if known["version"] > VERSION:
        raise Damaged(f"is of version {known['version']} of the results; this vxbench reads up to {VERSION}")
    if known["cell"] != cell:
        raise Damaged(f"is of another cell, {known['cell']}")


def _check_columns(schema: pa.Schema) -> None:
    lacking = [name for name in COLUMNS if name not in (*schema.names, *LATER)]
    unknown = [name for name in schema.names if name not in ALLOWED]
    for wrong, what in ((lacking, "lacks"), (unknown, "has")):
        if wrong:
            raise Damaged(f"{what} the column {wrong[0]}, as no rows of this version do")
    for field in schema:
        if field.type not in ALLOWED[field.name]:
            raise Damaged(f"has {field.type} in the column {field.name}, where {ALLOWED[field.name][0]} belongs")


def _check_values(table: pa.Table) -> None:
    for name in table.column_names:
        if name not in MAY_BE_NULL and table[name].null_count:
            raise Damaged(f"has a row without {name}")
    if not pc.all(pc.is_in(table["status"], pa.array(STATUSES, table["status"].type)), min_count=0).as_py():
        raise Damaged(f"has a row whose status is none of {', '.join(STATUSES)}")


def settled(tables: list[pa.Table]) -> pa.Table:
    """The rows that hold, sorted by clip and metric.

    A clip that succeeded once is ok, whatever failed before or after; of several rows for one clip and metric the last
    attempt's holds. The same whichever tables were settled among themselves before.
    """
    table = _without_outlived(pa.concat_tables(tables or [SCHEMA.empty_table()]))
    order = _order(table)
    return table if (np.diff(order) == 1).all() and len(order) == len(table) else table.take(order)


def _order(table: pa.Table) -> np.ndarray:
    """Indices of the rows that hold, as they are sorted."""
    clips, metrics = _ranks(table["clip"]), _ranks(table["metric"])
    place = clips * (metrics.max(initial=0) + 1) + metrics
    order = np.lexsort((_tie_breaks(table, place), -table[ATTEMPT].to_numpy(), place))
    return order[np.diff(place[order], prepend=-1) > 0]


def _without_outlived(table: pa.Table) -> pa.Table:
    """The rows but for failures of clips that have succeeded."""
    failed = pc.equal(table["status"], "failed")
    if not pc.any(failed).as_py():
        return table
    done = pc.is_in(table["clip"], pc.unique(table["clip"].filter(pc.invert(failed))))
    return table.filter(pc.invert(pc.and_(failed, done)))


def _ranks(column: pa.ChunkedArray) -> np.ndarray:
    """The place of each text among the sorted ones, equal for equal ones."""
    coded = column.combine_chunks().dictionary_encode()
    return pc.rank(coded.dictionary).to_numpy().astype(np.int64)[coded.indices.to_numpy()]


def _tie_breaks(table: pa.Table, place: np.ndarray) -> np.ndarray:
    """Numbers rows of one place by all that they say, so that which holds depends on nothing else, as their order."""
    ranks, shared = np.zeros(len(place), np.int64), pd.Series(place).duplicated(keep=False).to_numpy()
    if shared.any():
        said = [repr(row) for row in table.filter(pa.array(shared)).to_pylist()]
        ranks[shared] = np.unique(said, return_inverse=True)[1]
    return ranks
