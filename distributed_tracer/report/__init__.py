"""What the command line tells about a store: plain data for machines, and text made of it for people."""
