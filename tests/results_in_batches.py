"""An atlas whose tables are read a few rows at a time, as those of a large one are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from distributed_tracer.mine.atlas_result import Atlas
from distributed_tracer.table import Table
from distributed_tracer.table_stream import Batch, TableStream


class ResultInBatches(Atlas):
    """Yields at most seven rows at once."""

    def stream(self, table: str, columns: str | Sequence[str] | None = None) -> TableStream:
        whole = super().stream(table, columns)

        def read() -> Iterator[Batch]:
            for batch in whole:
                for first in range(0, len(batch), 7):
                    rows: Table = batch.take(np.arange(first, min(first + 7, len(batch))))
                    yield {name: rows[name] for name in rows.columns}

        return TableStream(whole.kinds, read)
