"""Bundles: a directory with a model, transcoders, prompts and wheels, from which machines without internet can run."""
