"""Profiles of features from texts: a model reads them, and active features are counted. In: texts. Out: a profile."""
