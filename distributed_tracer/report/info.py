"""Report of what a store consists of: counts, bytes by array, what made it, and objects that nothing reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from ..store.backend.base import Backend
from ..store.backend.open import open_backend
from ..store.commits import read_commits
from ..store.maintenance.unreferenced import orphans
from ..store.object_names import annotation_kind, evaluation_kind
from ..store.reader import open_store
from ..table import Table
from ..text import printable

_TEXTS = {"prompts/id", "prompts/text", "prompts/metadata", "targets/label", "tokens/string"}


def info_of(path: str) -> dict[str, Any]:
    """Return counts and bytes from the commits, the objects that nothing reads, and run.json. Parts are not read.

    `hidden` graphs belong to prompts that another commit holds too; they are not read. `superseded` parts have been
    compacted. Raises StoreNotFound, StoreVersionError, StoreCorrupt.
    """
    store, root = open_store(path), open_backend(path)
    catalogue, index = store.catalogue, store.index
    superseded = {entry.name for entry in catalogue.superseded}
    present = {key.removeprefix("commits/"): info for key, info in root.list_all("commits").items()}
    arrays: Counter[str] = Counter()
    num_graphs = 0
    for _, manifest in read_commits(root, superseded):
        num_graphs += len(manifest.prompts)
        for key, (size, _) in manifest.objects.items():
            arrays["metadata" if key.endswith("zarr.json") else key.partition("/c/")[0]] += size
    totals = {name: int(catalogue.columns[f"num_{name}"].sum()) for name in ("tokens", "nodes", "edges", "active")}
    num_bytes, num_edges = sum(arrays.values()), totals["edges"]
    unread = orphans(root, (entry.part for entry in (*catalogue.commits, *catalogue.superseded)))
    return {
        "store": store.url,
        "format_version": store.info["format_version"],
        "prompts": len(store),
        **totals,
        "parts": len(catalogue.commits),
        "objects": sum(entry.num_objects for entry in catalogue.commits),
        "bytes": num_bytes,
        "commit_bytes": sum(info.num_bytes for info in present.values()),
        "index": index.number if index else None,
        "index_bytes": sum(size for size, _ in index.objects.expected.values()) if index else 0,
        "bytes_per_edge": num_bytes / num_edges if num_edges else None,
        "bytes_per_graph": num_bytes / len(store) if len(store) else None,
        "groups": dict(_by_group(arrays)),
        "arrays": dict(sorted(arrays.items())),
        "hidden": num_graphs - len(store),
        "superseded": {entry.part: entry.num_bytes for entry in catalogue.superseded if entry.name in present},
        "orphans": {part: sum(info.num_bytes for info in objects.values()) for part, objects in unread.items()},
        "checks": _records(root, "checks", evaluation_kind),
        "annotations": _records(root, "annotations", annotation_kind),
        "info": store.info,
    }


def _records(root: Backend, folder: str, kind_of: Callable[[str], str | None]) -> dict[str, dict[str, int]]:
    """Return the number of evaluation objects or of annotations and their bytes, by kind."""
    found: dict[str, dict[str, int]] = {}
    for key, info in root.list_all(folder).items():
        if kind := kind_of(key):
            of_kind = found.setdefault(kind, {"objects": 0, "bytes": 0})
            of_kind["objects"] += 1
            of_kind["bytes"] += info.num_bytes
    return found


def _by_group(arrays: Counter[str]) -> Counter[str]:
    """Return bytes of edge weights, of edge sources, of all arrays of each other table together, and of all texts."""
    groups: Counter[str] = Counter()
    for name, size in sorted(arrays.items()):
        group = "texts" if name in _TEXTS else name if name.startswith("edges/") else name.partition("/")[0]
        groups[group] += size
    return groups


def info_text(info: dict[str, Any]) -> str:
    """Return the result of `info_of` as text."""
    made, num_bytes = info["info"], info["bytes"]
    lines = [
        f"store    {info['store']}, format version {info['format_version']}",
        f"made     {made.get('created', 'at an unknown time')} by {made.get('command', 'an unknown command')}",
        *(f"         {line}" for line in _flat(made["identity"])),
        f"prompts  {info['prompts']:,}: {info['tokens']:,} tokens, {info['nodes']:,} nodes, {info['edges']:,} edges, "
        f"{info['active']:,} active features",
        f"parts    {info['parts']:,} with {info['objects']:,} objects of {num_bytes:,} bytes; commits "
        f"{info['commit_bytes']:,} bytes",
    ]
    if info["bytes_per_edge"] is not None:
        lines.append(f"size     {info['bytes_per_edge']:.2f} bytes per edge, {info['bytes_per_graph']:,.0f} per graph")
    if info["index"] is not None:
        lines.append(f"index    {info['index']}, {info['index_bytes']:,} bytes")
    if info["hidden"]:
        lines.append(f"hidden   {info['hidden']:,} graphs of prompts that another commit holds too")
    for kind, title, why in _UNREAD:
        size = sum(info[kind].values())
        lines.append(f"{title:<9}{len(info[kind]):,} parts of {size:,} bytes {why}; gc removes old ones")
    for title, kinds in (("checks", info["checks"]), ("said", info["annotations"])):
        for kind, of_kind in kinds.items():
            lines.append(f"{title:<9}{kind}: {of_kind['objects']:,} objects of {of_kind['bytes']:,} bytes")
    groups = sorted(info["groups"].items(), key=lambda group: -group[1])
    shares = [f"{100 * size / num_bytes:.1f}%" if num_bytes else "-" for _, size in groups]
    per_edge = [size / info["edges"] if info["edges"] else None for _, size in groups]
    names, sizes = [name for name, _ in groups], [f"{size:,}" for _, size in groups]
    table = Table({"array": names, "bytes": sizes, "share": shares, "bytes per edge": per_edge})
    return "\n".join([*map(printable, lines), "", table.format(len(groups))] if groups else map(printable, lines))


_UNREAD = (
    ("superseded", "replaced", "whose prompts compact has put into larger ones"),
    ("orphans", "orphans", "that no commit names"),
)


def _flat(identity: dict[str, Any], within: str = "") -> list[str]:
    """Return lines `key value`, with nested keys joined by dots."""
    lines = []
    for key, value in identity.items():
        lines += _flat(value, f"{within}{key}.") if isinstance(value, dict) else [f"{within}{key} {value}"]
    return lines
