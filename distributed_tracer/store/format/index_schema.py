"""FORMAT.md's index as code: every array with its dtype, axis and chunks."""

from __future__ import annotations

from . import schema

_ROWS_OF_POSTINGS = 1 << 16
_ROWS_READ_WHOLE = 1 << 20


class Column(schema.Column):
    """An array of an index. All of its objects are listed in a document that is read when a store is opened."""

    @property
    def chunk_rows(self) -> int:
        """Many: most arrays are read whole. A feature's postings are looked up."""
        return _ROWS_OF_POSTINGS if self.axis == "posting" else _ROWS_READ_WHOLE


SIZES = ("num_tokens", "num_targets", "num_nodes", "num_edges", "num_active")
"""Of a prompt, as commits have them."""

CATALOGUE = (
    Column("commits/document", "u1", "document_byte"),
    Column("prompts/id", "u1", "id_byte"),
    Column("prompts/id_size", "i4", "prompt", least=0),
    Column("prompts/asked", "u1", "asked_byte"),
    Column("prompts/asked_size", "i4", "prompt", least=0),
    Column("prompts/commit", "i4", "prompt", least=0),
    Column("prompts/row", "i4", "prompt", least=0),
    Column("prompts/run", "i4", "prompt", least=-1),
    *(Column(f"prompts/{name}", "i8", "prompt", least=0, most=(1 << 48) - 1) for name in SIZES),
    Column("prompts/replacement", "f8", "prompt"),
    Column("prompts/completeness", "f8", "prompt"),
)
"""Where every prompt is, and what its commit says of it: read when a store is opened."""

FEATURES = (
    Column("prompts/num_features", "i4", "prompt", least=0),
    Column("features/layer", "i2", "feature"),
    Column("features/feature", "i4", "feature"),
    Column("features/num_nodes", "i4", "feature", least=0),
    Column("features/num_prompts", "i4", "feature"),
    Column("features/influence", "f8", "feature"),
    Column("features/activation", "f8", "feature"),
)
"""Every feature that is a node of some graph: read with the first question about a feature."""

POSTINGS = (
    Column("postings/prompt", "i4", "posting", least=0),
    Column("postings/node", "i4", "posting", least=0),
    Column("postings/position", "i4", "posting"),
    Column("postings/activation", "f4", "posting"),
    Column("postings/influence", "f4", "posting"),
)
"""Every node that is a feature, by feature: a feature's own rows are read."""

FEATURES_OF_PROMPTS = (Column("prompts/features", "i4", "prompt_feature", least=0),)
"""Numbers of the different features of every prompt, ascending."""

INDEX_COLUMNS = (*CATALOGUE, *FEATURES, *POSTINGS, *FEATURES_OF_PROMPTS)
