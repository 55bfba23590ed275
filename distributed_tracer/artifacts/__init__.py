"""What the files of a model and of transcoders hold. In: a directory or hub id. Out: digests, and what is damaged."""
