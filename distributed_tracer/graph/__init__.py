"""Attribution graphs and their mathematics on numpy arrays. In: nodes and edges. Out: influence and pruned graphs."""
