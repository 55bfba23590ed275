"""prompts: the table of a store's prompts as the server keeps it: read part by part in the background, kept compactly,
then sorted, filtered and counted for pages.

Axes: I prompt in the order of the catalogue.
"""
