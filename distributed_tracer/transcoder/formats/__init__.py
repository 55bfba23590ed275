"""File formats of transcoders, one module for each. In: a folder of files. Out: a `TranscoderSpec`, whatever the
format."""
