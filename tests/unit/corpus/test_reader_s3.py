"""Prompts on a real S3 server."""

from __future__ import annotations

import gzip
import json

import fsspec
import pyarrow
import pyarrow.parquet
import pytest
from s3 import s3_server

from distributed_tracer.config import CorpusConfig
from distributed_tracer.corpus.reader import read_prompts
from distributed_tracer.errors import CorpusError
from distributed_tracer.prompt import Prompt


def test_prompts_are_read_from_s3_and_what_is_wrong_there_is_a_corpus_error() -> None:
    with s3_server() as server, server.used(), pytest.MonkeyPatch.context() as patch:
        bucket = server.make_bucket("corpus")
        lines = [json.dumps({"id": str(number), "text": "a"}) for number in range(3)]
        with fsspec.open(f"{bucket}/p.jsonl.gz", "wb") as file:
            file.write(gzip.compress("\n".join(lines).encode()))
        with fsspec.open(f"{bucket}/p.parquet", "wb") as file:
            pyarrow.parquet.write_table(pyarrow.table({"id": [0, 1, 2], "text": ["a"] * 3}), file)
        table = "id,text\n" + "\n".join(f"{number},a" for number in range(3))
        plain = {"p.jsonl": "\n".join(lines), "p.csv": table, "p.tsv": table.replace(",", "\t")}
        for name, text in plain.items():
            with fsspec.open(f"{bucket}/{name}", "wb") as file:
                file.write(text.encode())
        for name in ("p.jsonl.gz", "p.parquet", *plain):
            assert [p.id for p in read_prompts(CorpusConfig(f"{bucket}/{name}"))] == ["0", "1", "2"]
        with fsspec.open(f"{bucket}/p.txt", "wb") as file:
            file.write(b"x" * 100_000 + b"\nb\n")  # longer than what is read ahead
        assert [len(p.text or "") for p in read_prompts(CorpusConfig(f"{bucket}/p.txt")) if isinstance(p, Prompt)] == [
            *(100_000, 1),
        ]
        with pytest.raises(CorpusError, match=r"^s3://corpus/absent\.jsonl: no such file"):
            list(read_prompts(CorpusConfig(f"{bucket}/absent.jsonl")))
        patch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        fsspec.filesystem("s3").clear_instance_cache()
        with pytest.raises(CorpusError, match=r"^s3://corpus/p\.jsonl\.gz: cannot be read: PermissionError"):
            list(read_prompts(CorpusConfig(f"{bucket}/p.jsonl.gz")))
