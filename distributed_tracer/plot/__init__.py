"""Pictures of one graph and of a store, as matplotlib figures. In: a Graph or an open Store. Out: PNG, PDF or SVG."""
