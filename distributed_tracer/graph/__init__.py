"""What an attribution graph is, and its mathematics on numpy arrays. In: nodes and edges. Out: what matters."""
