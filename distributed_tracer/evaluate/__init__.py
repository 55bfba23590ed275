"""Evaluation of stored graphs against their model. In: a store. Out: results, stored beside its graphs."""
