"""Command line: turns arguments into calls of the package, and prints their answers as text or JSON."""
