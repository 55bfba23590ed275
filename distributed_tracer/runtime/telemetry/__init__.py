"""Reports of a run while it works: log lines, progress, durations of phases."""
