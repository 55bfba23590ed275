"""The steps of a run around the tracing: prompts read, provenance recorded, outcomes counted."""
