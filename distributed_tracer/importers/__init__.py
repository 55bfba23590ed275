"""Import of graphs that other tools wrote. In: files. Out: Graphs with what is known beside them, in a store."""
