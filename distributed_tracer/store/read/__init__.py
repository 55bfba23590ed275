"""What is in a store as columns."""
