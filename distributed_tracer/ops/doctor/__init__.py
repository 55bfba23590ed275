"""Question in, findings out: what would go wrong on the machines of a run, found before GPU hours are spent."""
