"""Stored graphs against the model they are of: comes in a store, goes out figures beside its graphs."""
