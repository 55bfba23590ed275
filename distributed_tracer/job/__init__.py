"""Steps of a run around the tracing: they read prompts, record provenance, and count outcomes."""
