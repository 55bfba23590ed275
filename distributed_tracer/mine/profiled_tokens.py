"""What a profile says of the features of communities: at which tokens they are active, and which tokens they promote.

Axes: F feature.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log

from ..profile.feature_profile import FeatureProfile
from ..profile.reader import Profile

Shares = Mapping[str, float]
"""Tokens by name, with shares that add up to 1."""


@dataclass(frozen=True)
class ProfiledTokens:
    """Tokens of features, by their numbers; features that the profile does not have are left out."""

    active: Mapping[int, Shares]
    """Tokens at which the strongest contexts of a feature are active."""
    promoted: Mapping[int, Shares]
    """Tokens that the decoder of a feature promotes, as shares of the positive weights that the profile has."""
    usual: Shares
    """Mean of `active` over all features."""

    @classmethod
    def of(cls, profile: Profile, sites: Iterable[tuple[int, int]]) -> ProfiledTokens:
        """Read the tokens of features, given layer and index of each by its number. Raises ProfileError."""
        number_of = {site: number for number, site in enumerate(sites)}
        active: dict[int, Shares] = {}
        promoted: dict[int, Shares] = {}
        for feature in profile.features({layer for layer, _ in number_of}):
            number = number_of.get((feature.layer, feature.feature))
            if number is not None:
                active[number] = _shares((name, 1.0) for name in _active_tokens(feature))
                promoted[number] = _shares((one.token, one.weight) for one in feature.promoted if one.weight > 0)
        return cls(active, promoted, _mean(active, [*active]))

    def strongest(self, members: Sequence[int], most: int) -> list[str]:
        """Return the tokens at which members are active more than features usually are, the clearest first."""
        shares = _mean(self.active, members)
        surprise = {name: share * log(share / self.usual[name]) for name, share in shares.items()}
        return sorted(surprise, key=lambda name: (-surprise[name], name))[:most]

    def promotes(self, members: Sequence[int]) -> str:
        """Return the token that members promote most, on average; empty if none is known."""
        shares = _mean(self.promoted, members)
        return min(shares, key=lambda name: (-shares[name], name), default="")


def _active_tokens(feature: FeatureProfile) -> list[str]:
    """Return the token of each of the strongest contexts."""
    return [one.tokens[one.position - one.start] for one in feature.contexts if one.quantile == 0]


def _shares(weighted: Iterable[tuple[str, float]]) -> Shares:
    sums: dict[str, float] = defaultdict(float)
    for name, weight in weighted:
        sums[name] += weight
    total = sum(sums.values())
    return {name: weight / total for name, weight in sums.items()}


def _mean(shares_of: Mapping[int, Shares], members: Sequence[int]) -> Shares:
    """Return the mean of the shares of those members that have any."""
    known = [shares for member in members if (shares := shares_of.get(member))]
    sums: dict[str, float] = defaultdict(float)
    for shares in known:
        for name, share in shares.items():
            sums[name] += share / len(known)
    return sums
