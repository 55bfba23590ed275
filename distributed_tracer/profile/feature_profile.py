"""FeatureProfile: everything that a profile knows about one feature, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Context(NamedTuple):
    """A stretch of one prompt in which the feature is active."""

    quantile: int
    """The stretch's place in the quantiles by which contexts are kept: 0 is the highest activations."""
    prompt: str
    """Id of the prompt."""
    position: int
    """Position in the prompt of the token at which the feature is active, from 0."""
    start: int
    """Position in the prompt of the first of `tokens`."""
    tokens: tuple[str, ...]
    """Names of the tokens, as in `Graph.token_strings`."""
    activations: tuple[float, ...]
    """Activation of the feature at each of the tokens; 0 where it is not active, NaN where that is not known."""


class WeightedToken(NamedTuple):
    """A token of the vocabulary and the effect on its logit of the feature's decoder, per unit of activation."""

    token_id: int
    token: str
    weight: float


class Neighbour(NamedTuple):
    """Another feature whose decoder has a similar direction."""

    layer: int
    feature: int
    cosine: float


@dataclass(frozen=True)
class FeatureProfile:
    """Everything that a profile knows about one feature. What it cannot know is None or empty."""

    layer: int
    feature: int
    num_active_tokens: int
    """Number of tokens at which the feature is active, among `num_tokens`; `num_active_prompts` likewise."""
    num_active_prompts: int
    num_tokens: int
    """Number of tokens that were examined, without the first positions, which have no features."""
    num_prompts: int
    max_activation: float
    mean_activation: float
    """Mean of the activations where the feature is active."""
    quantiles: tuple[float, ...] = ()
    """Quantiles of the activations where the feature is active, at the shares `quantile_shares`."""
    quantile_shares: tuple[float, ...] = ()
    histogram: tuple[int, ...] = ()
    """Number of activations in each bin."""
    bin_edges: tuple[float, ...] = ()
    """Borders of the bins, one more than there are bins."""
    contexts: tuple[Context, ...] = ()
    """Kept contexts, by quantile, the strongest first within each."""
    promoted: tuple[WeightedToken, ...] = ()
    """Tokens whose logits the decoder raises most, directly; the largest weight first. From weights alone."""
    suppressed: tuple[WeightedToken, ...] = ()
    """Tokens whose logits the decoder lowers most; the smallest weight first."""
    neighbours: tuple[Neighbour, ...] = ()
    """Features of this layer and the adjacent ones whose decoders have the most similar directions."""
    positions: tuple[tuple[int, int], ...] = ()
    """Pairs of a first position and the number of active tokens from there up to the next pair's position."""
    min_activation: float = float("nan")
    """Smallest activation where the feature is active."""

    @property
    def density(self) -> float:
        """The share of the examined tokens at which the feature is active; NaN if none was examined."""
        return self.num_active_tokens / self.num_tokens if self.num_tokens else float("nan")
