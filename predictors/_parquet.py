"""Parquet from bytes, of a size that memory can hold."""

from __future__ import annotations

import io

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

MOST_BYTES = 8 * 2**30  # of a table in memory: a file of some KiB can hold billions of equal rows
CELL = 8


def read_parquet(data: bytes) -> pd.DataFrame:
    """Read a table.

    Raises
    ------
    ValueError
        It is no Parquet, or too large in memory.
    """
    try:
        # From the end of the file, before anything is decompressed.
        with pq.ParquetFile(io.BytesIO(data)) as file:
            found = file.metadata
        groups = (found.row_group(number) for number in range(found.num_row_groups))
        packed = sum(group.total_byte_size for group in groups)
        size = packed + found.num_rows * found.num_columns * CELL
        if not 0 <= size <= MOST_BYTES:
            raise ValueError(f"it takes {size:,} bytes in memory, more than {MOST_BYTES:,}")
        return pd.read_parquet(io.BytesIO(data))
    except (OSError, pa.ArrowException) as error:
        raise ValueError((str(error).splitlines() or [repr(error)])[0]) from error
