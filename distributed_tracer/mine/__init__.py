"""Mining: statistics over all graphs of a store, made out of core, and tests over clusters of prompts."""
