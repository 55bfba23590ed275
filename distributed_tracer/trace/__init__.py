"""The algorithm. In: a prompt, a model and transcoders. Out: an attribution graph."""
