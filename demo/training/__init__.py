"""How the demo is made: facts -> sentences -> tokenizer and model -> activations -> transcoders; corpus and report.

Shape suffixes here: B batch, P position, N token sample, L layer, D model width, S dictionary, V vocabulary,
T target layer of a decoder.
"""
