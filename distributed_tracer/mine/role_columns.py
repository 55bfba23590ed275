"""Columns of the results of `mine roles` and `mine pathways`: types, units and meanings."""

from __future__ import annotations

from ..graph.columns import KINDS
from .columns import COUNT, NO_UNIT, Column

_COMMUNITY = Column("i8", NO_UNIT, "number of the community, over all levels: from 0, level by level")
_LEVEL = Column("i8", NO_UNIT, "level of the partition: 0 is the coarsest, and later ones have higher resolutions")
_RESOLUTION = Column("f8", NO_UNIT, "resolution of the modularity that Leiden maximises on this level")
_P = "of all runs with a community that stands out as much among those of its size (adjusted for all of the level)"
TABLES: dict[str, dict[str, Column]] = {
    "communities": {
        "community": _COMMUNITY,
        "level": _LEVEL,
        "resolution": _RESOLUTION,
        "parent": Column("i8", NO_UNIT, "community of the level before with most of its members; -1 on level 0"),
        "parent_share": Column("f8", NO_UNIT, "share of the members that belong to the parent; NaN on level 0"),
        "name": Column("", "", "label of most members, or the tokens where they are strongest and what they feed"),
        "size": Column("i8", COUNT, "features in it"),
        "verdict": Column(
            "",
            "",
            "significant; or why it is not called so: not significant, unstable, a layer, a position, unknown (no "
            "shuffles)",
        ),
        "cohesion": Column(
            "f8",
            NO_UNIT,
            "roles: mean cosine of its members' profiles; pathways: share of its members' weight that stays inside",
        ),
        "stability": Column("f8", NO_UNIT, "mean Jaccard overlap with its best match, over bootstraps and seeds"),
        "stability_low": Column("f8", NO_UNIT, "10% quantile of this overlap"),
        "p_identity": Column("f8", NO_UNIT, f"share {_P}; others: names of features shuffled"),
        "p_edges": Column("f8", NO_UNIT, f"share {_P}; others: ends of edges shuffled"),
        "clusters": Column("i8", COUNT, "clusters of prompts in which at least half of its members are nodes"),
        "influence": Column("f8", NO_UNIT, "influence of its members: mean over prompts, then clusters; absent is 0"),
        "layers": Column("i8", COUNT, "layers that its members are in"),
        "first_layer": Column("i8", NO_UNIT, "lowest layer of a member"),
        "last_layer": Column("i8", NO_UNIT, "highest layer of a member"),
        "layer_information": Column("f8", NO_UNIT, "what the layer says of membership: information / entropy, 0 to 1"),
        "position_information": Column("f8", NO_UNIT, "what the usual distance from the end says of it, 0 to 1"),
    },
    "members": {
        "community": _COMMUNITY,
        "level": _LEVEL,
        "layer": Column("i2", NO_UNIT, "layer of the feature"),
        "feature": Column("i4", NO_UNIT, "index of the feature in its transcoder"),
        "stability": Column(
            "f8", NO_UNIT, "share of the bootstraps and seeds in which it is in the community's best match"
        ),
        "fit": Column(
            "f8", NO_UNIT, "roles: mean cosine with the others; pathways: share of its weight that is inside"
        ),
        "influence": Column("f8", NO_UNIT, "influence of the feature: mean over prompts, then clusters; absent is 0"),
        "clusters": Column("i8", COUNT, "clusters of prompts in which it is a node"),
    },
    "levels": {
        "level": _LEVEL,
        "resolution": _RESOLUTION,
        "features": Column("i8", COUNT, "features that have a neighbour, and so can be in a community"),
        "communities": Column("i8", COUNT, "communities of at least two features"),
        "significant": Column("i8", COUNT, "of these, those whose verdict is `significant`"),
        "communities_low": Column("f8", COUNT, "10% quantile of the number over bootstraps and seeds"),
        "communities_high": Column("f8", COUNT, "90% quantile of this number"),
        "ari": Column(
            "f8", NO_UNIT, "mean adjusted Rand index between this partition and those of bootstraps and seeds"
        ),
        "ari_low": Column("f8", NO_UNIT, "10% quantile of it"),
        "nmi": Column("f8", NO_UNIT, "mean normalised mutual information with these partitions"),
        "quality": Column("f8", NO_UNIT, "modularity of the partition"),
        "quality_identity": Column("f8", NO_UNIT, "mean modularity where features' names are shuffled in clusters"),
        "z_identity": Column("f8", "standard deviations", "by how much the quality is above this"),
        "quality_edges": Column("f8", NO_UNIT, "mean modularity where ends of edges are shuffled in clusters"),
        "z_edges": Column("f8", "standard deviations", "by how much the quality is above this"),
        "layer_information": Column("f8", NO_UNIT, "adjusted mutual information of partition and layer"),
        "position_information": Column("f8", NO_UNIT, "the same with the usual distance from the end of a prompt"),
    },
    "runs": {
        "level": _LEVEL,
        "kind": Column("", "", "seed, bootstrap, identity or edges: other seed, resampled clusters, shuffled data"),
        "run": Column("i8", NO_UNIT, "number of the run of this kind"),
        "communities": Column("i8", COUNT, "communities of at least two features"),
        "largest": Column("i8", COUNT, "features of the largest one"),
        "quality": Column("f8", NO_UNIT, "modularity"),
        "ari": Column("f8", NO_UNIT, "adjusted Rand index with the partition that is reported"),
        "nmi": Column("f8", NO_UNIT, "normalised mutual information with it"),
    },
    "between": {
        "level": _LEVEL,
        "source": Column("i8", NO_UNIT, "community of the sources"),
        "target": Column("i8", NO_UNIT, "community of the targets; it may be the same"),
        "edges": Column("i8", COUNT, "pairs of features with an edge between them"),
        "positive": Column("f8", NO_UNIT, "shares of influence that their positive edges pass on, means over clusters"),
        "negative": Column("f8", NO_UNIT, "the same of the negative edges, as a positive number: inhibition"),
        "inhibition": Column("f8", NO_UNIT, "negative / (positive + negative)"),
        "lift": Column("f8", NO_UNIT, "positive + negative / what the pairs of layers alone let expect"),
    },
    "enrichment": {
        "community": _COMMUNITY,
        "field": Column("", "", "`token`, or a field of the prompts' metadata"),
        "value": Column("", "", "text of the token, or the value"),
        "clusters_both": Column("i8", COUNT, "clusters in which the community acts that have the value"),
        "clusters_community": Column("i8", COUNT, "clusters in which at least half of the members are nodes"),
        "clusters_value": Column(
            "i8", COUNT, "clusters that have the value: half of their prompts, or any, for tokens"
        ),
        "clusters_all": Column("i8", COUNT, "all clusters"),
        "ratio": Column("f8", NO_UNIT, "clusters_both / what independence lets expect"),
        "p": Column("f8", NO_UNIT, "probability of as many by chance (hypergeometric)"),
        "q": Column("f8", NO_UNIT, "the smallest false discovery rate (Benjamini and Hochberg) that includes it"),
    },
    "neighbours": {
        "community": _COMMUNITY,
        "side": Column("", "", "in: what feeds its members; out: what they feed"),
        "kind": Column("", "", f"kind of the node: {', '.join(KINDS)}"),
        "layer": Column("i2", NO_UNIT, "layer: -1 for tokens, the number of layers for targets"),
        "feature": Column("i4", NO_UNIT, "feature index; token id for tokens and targets"),
        "name": Column("", "", "name of the node"),
        "share": Column("f8", NO_UNIT, "share of what its members receive or pass on, by absolute values"),
        "sign": Column("f8", NO_UNIT, "sum with signs / sum of absolute values, from -1 to 1"),
    },
}
"""Columns of each table, in order, for roles and for pathways alike."""
