"""The same graphs as Parquet files, zstd, rows in the order of prompts, queried by DuckDB. Needs pyarrow and duckdb."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from store_questions import ByPrompt, Site

from distributed_tracer.graph.graph import Graph
from distributed_tracer.store.format.graph_columns import columns_of

_ROWS = 1 << 18
_SITE = "SELECT prompt, node FROM nodes WHERE kind = 0 AND layer = ? AND feature = ?"


class Parquet:
    """Four tables, with a file of each for every batch."""

    name = "parquet, duckdb"

    def __init__(self, folder: Path) -> None:
        self._folder, self._files, self._ids = folder, 0, list[str]()
        folder.mkdir(parents=True)

    def write(self, graphs: Sequence[Graph]) -> None:
        first = len(self._ids)
        self._ids += [graph.prompt_id for graph in graphs]
        columns = [columns_of(graph) for graph in graphs]
        for table, axis in (("nodes", "nodes/kind"), ("edges", "edges/weight"), ("active", "active/layer")):
            rows = [len(one[axis]) for one in columns]
            number = np.repeat(np.arange(first, first + len(graphs), dtype=np.int32), rows)
            names = [name for name in columns[0] if name.startswith(f"{table}/")]
            arrays: dict[str, Any] = {
                name.partition("/")[2]: np.concatenate([one[name] for one in columns]) for name in names
            }
            if table == "nodes":
                arrays["node"] = np.concatenate([np.arange(count, dtype=np.int32) for count in rows])
            if table == "edges":
                arrays["target"] = np.concatenate([graph.target_E() for graph in graphs])
            self._put(table, {"prompt": number, **arrays})
        numbers = np.arange(first, len(self._ids), dtype=np.int32)
        self._put("prompts", {"prompt": numbers, "id": self._ids[first:], "text": [graph.text for graph in graphs]})
        self._files += 1

    def open(self) -> Parquet:
        import duckdb

        self._ask = duckdb.connect()
        for table in ("nodes", "edges", "active", "prompts"):
            self._ask.execute(f"CREATE VIEW {table} AS SELECT * FROM read_parquet('{self._folder}/{table}-*.parquet')")
        return self

    def graph(self, prompt: str) -> int:
        ((number,),) = self._rows("SELECT prompt FROM prompts WHERE id = ?", prompt)
        for table in ("nodes", "active"):
            self._ask.execute(f"SELECT * FROM {table} WHERE prompt = ?", [number]).fetchnumpy()
        return len(self._ask.execute("SELECT * FROM edges WHERE prompt = ?", [number]).fetchnumpy()["weight"])

    def occurrences(self, site: Site) -> ByPrompt:
        return self._by_prompt(_SITE.replace("node ", "position, activation, influence "), *site)

    def edges_into(self, site: Site) -> ByPrompt:
        return self._edges("target", site)

    def edges_out_of(self, site: Site) -> ByPrompt:
        return self._edges("source", site)

    def cooccurring(self, site: Site, top: int) -> list[int]:
        question = (
            f"SELECT count(DISTINCT prompt) AS prompts FROM nodes WHERE kind = 0 AND prompt IN "
            f"(SELECT prompt FROM ({_SITE})) GROUP BY layer, feature ORDER BY prompts DESC LIMIT {top + 1}"
        )
        return [count for (count,) in self._rows(question, *site)][1:]  # the first is the feature itself

    def num_prompts(self) -> int:
        return len(self._rows("SELECT * FROM prompts"))

    def scan(self) -> int:
        ((count, _, _),) = self._rows("SELECT count(*), sum(abs(weight)), sum(source) FROM edges")
        return int(count)

    def _edges(self, end: str, site: Site) -> ByPrompt:
        join = f"site.prompt = edges.prompt AND site.node = edges.{end}"
        question = f"SELECT edges.prompt, source, target, weight FROM edges JOIN ({_SITE}) site ON {join}"
        return self._by_prompt(question, *site)

    def _by_prompt(self, question: str, *values: Any) -> ByPrompt:
        numbers = self._ask.execute(question, list(values)).fetchnumpy()["prompt"]
        return Counter(self._ids[number] for number in numbers.tolist())

    def _rows(self, question: str, *values: Any) -> list[Any]:
        rows: list[Any] = self._ask.execute(question, list(values)).fetchall()
        return rows

    def _put(self, table: str, columns: dict[str, Any]) -> None:
        path = self._folder / f"{table}-{self._files:05d}.parquet"
        with path.open("wb") as file:
            pq.write_table(pa.table(columns), file, compression="zstd", row_group_size=_ROWS)
            file.flush()
            os.fsync(file.fileno())
