"""A Hugging Face model, placed and frozen. In: a directory or hub id, token ids. Out: a Tape and linear pull-backs."""
