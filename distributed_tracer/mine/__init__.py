"""Mining: statistics over the graphs of many prompts, with the cluster of prompts as the unit of evidence."""
