"""Discovery: the whole loop over a store: mine one half, hold out the other, intervene, report."""
