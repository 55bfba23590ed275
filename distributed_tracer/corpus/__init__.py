"""Reads prompt files. In: JSONL, CSV, TSV, Parquet or plain text from anywhere. Out: checked `Prompt`s, one by one."""
