"""Interventions: set features to other values, and observe what the model does."""
