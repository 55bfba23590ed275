"""What a run reports while it works: log lines, progress, durations of phases."""
