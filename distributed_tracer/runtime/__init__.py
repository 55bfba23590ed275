"""Who does the work, and what happens when they fail. In: work units. Out: a stream of small outcomes."""
