"""Questions over many graphs. In: an open Store. Out: Tables. Streaming: never more than one part in memory."""
