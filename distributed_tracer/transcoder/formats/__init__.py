"""One file per format. In: a folder of transcoder files. Out: the same description for all, `TranscoderSpec`."""
