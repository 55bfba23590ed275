"""Profiles: what features are, from texts and weights. In: activations, or a store. Out: Parquet, and one feature."""
