"""How the demo is made: facts -> sentences -> tokenizer and model -> activations -> transcoders; corpus and report.

Axes: B row of a batch, P position, I token of a sample, L layer, D model width, S feature of the dictionary,
V vocabulary.
"""
