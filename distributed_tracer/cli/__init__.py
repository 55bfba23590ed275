"""The command line. In: arguments. Out: calls of the package, their answers as text or JSON, and an exit code."""
