"""A Hugging Face model, placed on devices and frozen. In: a directory or hub id, and token ids. Out: a ForwardCache and
the linear maps through which gradients pass."""
