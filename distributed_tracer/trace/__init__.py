"""Tokens in, Graph out: the algorithm. In: a prompt, a model, transcoders. Out: an attribution graph."""
