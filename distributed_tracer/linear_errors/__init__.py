"""The linear part of errors, computed by a model from the prompts of a store. In: a store. Out: a result of mining."""
