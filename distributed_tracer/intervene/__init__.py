"""Setting features to other values, and watching what the model does."""
