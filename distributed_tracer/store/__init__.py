"""Graphs on disk. Input: Graphs, which many workers write at once. Output: a store that is complete at any moment.

FORMAT.md describes the format.
"""
