"""Inspects the files of models and transcoders. In: a directory or hub id. Out: digests, and a list of damage."""
