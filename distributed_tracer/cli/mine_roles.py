"""mine roles, mine pathways: communities of features over all graphs, and how far to trust them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..config import RunConfig
from ..errors import ConfigError
from ..text import counted, short
from .app import StorePath, print_answer
from .mine_answer import Where, print_result

if TYPE_CHECKING:
    from ..mine.result import Result

_SHOWN = ("community", "name", "size", "cohesion", "stability", "p_identity", "p_edges", "clusters", "verdict")
_OF_LEVELS = ("level", "communities", "significant", "communities_low", "communities_high", "ari", "nmi")
_OF_NULLS = ("quality", "z_identity", "z_edges", "layer_information", "position_information")
_MOST_SHOWN = 20


@dataclass(frozen=True)
class CommunityFlags:
    """How communities are found and judged."""

    resolutions: str = "1,4,16"
    """Resolutions of the levels, ascending and separated by commas: higher ones give more and smaller communities."""
    min_clusters: int = 3
    """In how many clusters a feature must be a node to be in a community."""
    bootstraps: int = 20
    """Number of times that clusters are drawn anew, for the stability of communities."""
    shuffles: int = 99
    """Number of times that edges are shuffled in each of two ways; 19 are the least for an alpha of 0.05."""
    alpha: float = 0.05
    """Largest probability that data without structure have any significant community; also the FDR of enrichment."""
    profile: str | None = None
    """Folder of a profile of the features, for the names of communities: where they are active, what they promote."""
    labels_out: str | None = None
    """Also a file (CSV) with each feature's finest significant community by name, for `labels add`."""
    seed: int = 0
    """Seed of all runs."""


def roles(
    path: StorePath,
    out: str,
    where: Where = (),
    cluster: str | None = None,
    neighbours: int = 20,
    memory_gb: float = 2.0,
    communities: CommunityFlags = CommunityFlags(),
    workers: int = 1,
    ray_address: str | None = None,
    dry_run: bool = False,
    json: bool = False,
) -> int:
    """Find groups of features with the same role: they are fed by the same and feed the same.

    The result is a folder of Parquet files: communities of features on several levels, with their stability, their p
    against two kinds of shuffled edges, names and enrichment. docs/roles.md has the definitions. The same command goes
    on after an interruption.

    Args:
        path: Directory or URL of a store.
        out: Folder of the result: new, empty, or begun by this command.
        where: Conditions that prompts must meet, all of them, in the form that `query` takes.
        cluster: Metadata whose equal values make prompts a cluster, such as a template or a subject. Without it,
            prompts count as independent, and communities look more certain than they are.
        neighbours: Number of nearest neighbours of each feature, of which those count that are mutual.
        memory_gb: Memory in 10^9 bytes for edges in each worker, beside that of the program itself.
        communities: How communities are found and judged.
        workers: Number of processes on this machine or, on a cluster, of tasks at a time. The result does not depend
            on it.
        ray_address: Address of a running Ray cluster that does the work; `auto` is the one that this machine belongs
            to. All of its machines must see the store and `--out` under the same paths.
        dry_run: Whether to say only what it will take.
        json: Whether to print the provenance of the result as JSON.
    """
    run = RunConfig(workers=workers, ray_address=ray_address)
    return _mine("roles", path, out, where, cluster, memory_gb, communities, run, dry_run, json, neighbours=neighbours)


def pathways(
    path: StorePath,
    out: str,
    where: Where = (),
    cluster: str | None = None,
    memory_gb: float = 2.0,
    communities: CommunityFlags = CommunityFlags(),
    workers: int = 1,
    ray_address: str | None = None,
    dry_run: bool = False,
    json: bool = False,
) -> int:
    """Find groups of features that raise each other more than their layers let expect, and how groups inhibit others.

    The result is a folder of Parquet files: communities of features on several levels, with their stability, their p
    against two kinds of shuffled edges, names, enrichment, and inhibition between them. docs/roles.md has the
    definitions. The same command goes on after an interruption.

    Args:
        path: Directory or URL of a store.
        out: Folder of the result: new, empty, or begun by this command.
        where: Conditions that prompts must meet, all of them, in the form that `query` takes.
        cluster: Metadata whose equal values make prompts a cluster, such as a template or a subject. Without it,
            prompts count as independent, and communities look more certain than they are.
        memory_gb: Memory in 10^9 bytes for edges in each worker, beside that of the program itself.
        communities: How communities are found and judged.
        workers: Number of processes on this machine or, on a cluster, of tasks at a time. The result does not depend
            on it.
        ray_address: Address of a running Ray cluster that does the work; `auto` is the one that this machine belongs
            to. All of its machines must see the store and `--out` under the same paths.
        dry_run: Whether to say only what it will take.
        json: Whether to print the provenance of the result as JSON.
    """
    run = RunConfig(workers=workers, ray_address=ray_address)
    return _mine("pathways", path, out, where, cluster, memory_gb, communities, run, dry_run, json)


def _mine(
    kind: Literal["roles", "pathways"],
    path: str,
    out: str,
    where: tuple[str, ...],
    cluster: str | None,
    memory_gb: float,
    flags: CommunityFlags,
    config: RunConfig,
    dry_run: bool,
    json: bool,
    **of_roles: int,
) -> int:
    from ..export.atomic import check_file
    from ..mine.communities import mine_communities, plan_communities
    from ..mine.community_labels import write_labels
    from ..mine.community_settings import CommunitySettings
    from ..profile.reader import open_profile
    from ..runtime.task_runner import task_runner
    from ..store.reader import open_store

    chosen: dict[str, Any] = {**asdict(flags), **of_roles, "resolutions": _numbers(flags.resolutions)}
    labels_out, profile = chosen.pop("labels_out"), chosen.pop("profile")
    if labels_out is not None:
        check_file(Path(labels_out).expanduser())
    known = None if profile is None else open_profile(profile)
    plan = plan_communities(open_store(path), kind, where, cluster, memory_gb, CommunitySettings(**chosen), known)
    if dry_run:
        print(plan.describe())
        return 0
    with task_runner(config) as run:
        result = mine_communities(plan, out, run)
    written = None if labels_out is None else write_labels(result, labels_out)
    if json:
        print_answer(dict(result.info))
        return 0
    blocks = _blocks(result, kind)
    if written is not None:
        blocks.append(f"wrote {counted(written, 'label')} into {labels_out}")
    print_result(result, out, blocks)
    return 0


def _blocks(result: Result, kind: str) -> list[str]:
    """Return what is printed: the levels, and the strongest communities that are significant."""
    facts = result.facts
    blocks = [
        f"{kind} of {counted(facts['features'], 'feature')} over {counted(facts['clusters'], 'cluster')} of "
        f"{counted(facts['prompts'], 'prompt')}; {facts['features_seen'] - facts['features']:,} features are in fewer "
        f"than {counted(facts['min_clusters'], 'cluster')}",
        result.table("levels", _OF_LEVELS).format(99),
        result.table("levels", ("level", *_OF_NULLS)).format(99),
        f"{facts['significant']:,} of {facts['communities']:,} communities are significant at "
        f"{facts['alpha']:g} for all of a level together, stable, and neither a layer nor a position",
    ]
    shown = result.table("communities", [*_SHOWN, "level", "influence"])
    own = shown["verdict"] == "significant"
    if not len(shown):
        return blocks
    if own.any():
        shown = shown.where(own)
        blocks.append("the most influential ones of these:")
    else:
        blocks.append("the most influential communities:")
    order = (-shown["influence"]).argsort(kind="stable")[:_MOST_SHOWN]
    kept = type(shown)({name: shown[name][order] for name in ("level", *_SHOWN)})
    return [*blocks, kept.format(_MOST_SHOWN)]


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"--resolutions has numbers separated by commas, not {short(text)}") from error
