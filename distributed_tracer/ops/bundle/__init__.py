"""Names of a model, transcoders and prompts, and a target -> a directory that runs them without internet."""
