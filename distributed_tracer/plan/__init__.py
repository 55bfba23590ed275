"""What a run will cost, before it costs anything. In: prompts and sizes. Out: work units with bytes and seconds."""
