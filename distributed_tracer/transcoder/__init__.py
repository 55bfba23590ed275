"""Which features fire, and their vectors. In: files of transcoders and MLP inputs. Out: activations, encoder and decoder rows."""
