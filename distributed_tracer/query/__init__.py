"""Questions over many graphs. In: an open Store. Out: Tables. Reads streams: never more than one part is in memory."""
