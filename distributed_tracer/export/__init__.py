"""Graphs for other tools. In: a Graph. Out: files."""
