"""Transcoders: which features are active, and their vectors. In: files of transcoders, and MLP inputs. Out:
activations, and rows of encoders and decoders."""
