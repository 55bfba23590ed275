"""Whether a profile is of the features of a store."""

from __future__ import annotations

from ..errors import ConfigError
from ..store.reader import Store
from ..text import short
from .reader import Profile


def check_profile(store: Store, profile: Profile) -> None:
    """Raise ConfigError for a profile of another model or of other transcoders than those of a store: its features are
    different ones under the same numbers. Nothing is compared that one of them does not record."""
    made_with, settings = store.info.get("content") or {}, profile.info.get("settings") or {}
    profiled = settings.get("content") or {}
    for part, name in (("model", "model"), ("transcoders", "set of transcoders")):
        known = made_with.get(part), profiled.get(part)
        if all(known) and known[0] != known[1]:
            both = ((settings.get(part), known[1]), (store.info["identity"].get(part), known[0]))
            theirs, ours = (f"{short(str(place), 200)}, {short(str(digest), 80)}" for place, digest in both)
            raise ConfigError(
                f"the profile {profile.path} was made with another {name} ({theirs}) than {store.url} ({ours})"
            )
    sizes = store.info.get("num_features"), profile.info.get("features_of_layers")
    if all(sizes) and list(sizes[0] or ()) != list(sizes[1] or ()):
        raise ConfigError(
            f"the profile {profile.path} is of transcoders with {sizes[1]} features in their layers, and those of "
            f"{store.url} have {sizes[0]}"
        )
