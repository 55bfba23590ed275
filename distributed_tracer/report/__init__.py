"""Reports of the command line about a store: plain data for machines, and text made of it for people."""
