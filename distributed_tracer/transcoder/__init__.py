"""Which features fire, and their vectors. In: files of transcoders, MLP inputs. Out: activations and rows."""
