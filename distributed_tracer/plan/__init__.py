"""Predicts the cost of a run before any work. In: prompts and sizes. Out: work units with bytes and seconds."""
