"""Annotations of a store: those that meet a condition come out as records, and go to files and into other stores."""
