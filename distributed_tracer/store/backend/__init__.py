"""Where a store lives: a local directory, S3, or any other fsspec URL."""
