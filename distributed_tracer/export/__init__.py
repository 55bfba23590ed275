"""Export of graphs for other tools. In: a Graph. Out: files."""
