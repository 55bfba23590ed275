"""Tasks: long work in phases of small, independent tasks, whose results lie in a folder and are not made twice."""
