"""Doctor: checks of the machines of a run, which find problems before GPU hours are spent."""
