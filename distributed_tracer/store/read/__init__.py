"""Tables of a store's content: prompts, nodes and edges as columns, with conditions on them."""
