"""Graphs on disk. In: Graphs, written by many workers at once. Out: a store that is never half there. See FORMAT.md."""
