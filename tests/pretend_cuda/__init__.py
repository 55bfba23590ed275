"""Pretend CUDA devices on machines without a GPU, and tests of everything that a GPU runs."""
