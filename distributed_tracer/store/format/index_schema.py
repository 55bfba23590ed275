"""Index schema: FORMAT.md's section on the index as code, with the dtype, axis and chunks of every array."""

from __future__ import annotations

from . import schema

_ROWS_OF_POSTINGS = 1 << 16
_ROWS_READ_WHOLE = 1 << 20


class Column(schema.Column):
    """An array of an index. A document that is read whenever a store is opened lists all chunks of all these arrays."""

    @property
    def chunk_rows(self) -> int:
        """Number of rows of a full chunk.

        It is large because most arrays are read whole; only postings are read feature by feature.
        """
        return _ROWS_OF_POSTINGS if self.axis == "posting" else _ROWS_READ_WHOLE


CATALOGUE = (
    Column("commits/document", "u1", "document_byte"),
    Column("prompts/id", "u1", "id_byte"),
    Column("prompts/id_size", "i4", "prompt", least=0),
    Column("prompts/asked", "u1", "asked_byte"),
    Column("prompts/asked_size", "i4", "prompt", least=0),
    Column("prompts/commit", "i4", "prompt", least=0),
    Column("prompts/row", "i4", "prompt", least=0),
    Column("prompts/run", "i4", "prompt", least=-1),
    *(Column(f"prompts/{name}", "i8", "prompt", least=0, most=(1 << 48) - 1) for name in schema.SIZES),
    Column("prompts/replacement", "f8", "prompt"),
    Column("prompts/completeness", "f8", "prompt"),
)
"""Arrays that say where every prompt is and what its commit records about it; they are read when a store is opened."""

FEATURES = (
    Column("prompts/num_features", "i4", "prompt", least=0),
    Column("features/layer", "i2", "feature"),
    Column("features/feature", "i4", "feature"),
    Column("features/num_nodes", "i4", "feature", least=0),
    Column("features/num_prompts", "i4", "feature"),
    Column("features/influence", "f8", "feature"),
    Column("features/activation", "f8", "feature"),
)
"""Arrays of every feature that is a node of some graph; they are read with the first query about a feature."""

POSTINGS = (
    Column("postings/prompt", "i4", "posting", least=0),
    Column("postings/node", "i4", "posting", least=0),
    Column("postings/position", "i4", "posting"),
    Column("postings/activation", "f4", "posting"),
    Column("postings/influence", "f4", "posting"),
)
"""Arrays of every node that is a feature, sorted by feature; a query reads only the rows of its feature."""

FEATURES_OF_PROMPTS = (Column("prompts/features", "i4", "prompt_feature", least=0),)
"""Numbers of the distinct features of every prompt, ascending."""

INDEX_COLUMNS = (*CATALOGUE, *FEATURES, *POSTINGS, *FEATURES_OF_PROMPTS)
