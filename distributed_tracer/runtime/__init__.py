"""Executors, workers and the handling of their failures. In: work units. Out: a stream of small outcomes."""
