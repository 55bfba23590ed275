"""Profiles of features from texts: a model reads them, and every active feature is counted. In: texts. Out: a profile."""
