"""No password and no signature of an address is stored, logged, shown or raised, wherever the address goes."""

from __future__ import annotations

import gzip
import http.server
import json
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from jobs_of_cases import LOCAL, job, plain_rows

from distributed_tracer.cli.main import main
from distributed_tracer.config import CorpusConfig
from distributed_tracer.corpus.reader import read_prompts
from distributed_tracer.errors import CorpusError
from distributed_tracer.pipeline import run_job
from distributed_tracer.redact import redacted, redacted_url
from distributed_tracer.report.status import status_of, status_text

SECRETS = ("PASSWORD", "SIGNATURE")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("401, url='http://alice:PASSWORD@host/x?sig=SIGNATURE'", "401, url='http://...@host/x?...'"),
        ("(s3://alice:PASS/WORD@bucket/x) is", "(s3://...@bucket/x) is"),
        ("http://PASSWORD@host", "http://...@host"),
        ("https://host/x#access_token=SIGNATURE", "https://host/x#..."),
        ("simplecache::http://a:PASSWORD@h/x?y", "simplecache::http://...@h/x?..."),
        ("a=http://a:PASSWORD@h/x,b=ftp://b:PASSWORD@h", "a=http://...@h/x,b=ftp://...@h"),
        ("http://host:8080/p@v1/x", "http://host:8080/p@v1/x"),
        ("s3://bucket/a@b.jsonl:3: text?", "s3://bucket/a@b.jsonl:3: text?"),
        ("what? user@host, C:\\x", "what? user@host, C:\\x"),
    ],
)
def test_credentials_go_and_all_else_stays(text: str, shown: str) -> None:
    assert redacted(text) == shown
    assert redacted(shown) == shown


def test_a_password_with_spaces_goes_too() -> None:
    assert redacted_url("http://alice:PASS WORD@host/x?y z") == "http://...@host/x?..."
    assert redacted_url("a folder/what?#@x") == "a folder/what?#@x"


@pytest.mark.parametrize("text", ["://" * 100_000, "://a:" * 100_000, f"://{'a' * 300_000}?{chr(39) * 300_000}"])
def test_the_time_grows_with_the_text_alone(text: str) -> None:
    started = time.monotonic()
    redacted(text)
    assert time.monotonic() - started < 5


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Of a server that has two prompts that can be traced and three that cannot, and knows no other file."""
    lines = [*map(json.dumps, plain_rows(2)), '{"text": ""}', "broken", '{"id": "p0", "text": "other content"}']
    data = gzip.compress("\n".join(lines).encode())

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path.startswith("/p.jsonl.gz")
            self.send_response(200 if found else 403)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://alice:PASSWORD@127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_nothing_that_a_run_writes_or_says_holds_them(
    log_format: str, address: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{address}/p.jsonl.gz?X-Amz-Signature=SIGNATURE"
    monkeypatch.setattr("sys.argv", ["distributed-tracer", "trace", "--prompts", url])
    config = job(tmp_path, [], replace(LOCAL, log_format=log_format, progress=True))
    summary = run_job(replace(config, corpus=CorpusConfig(url, on_bad_prompt="record")))
    assert (summary.num_done, len(summary.failed)) == (2, 3)
    found = status_of(config.store.store)
    assert [one["prompt_id"].partition("/p.jsonl")[0][:13] for one in found["failed"]] == ["http://...@12"] * 3
    assert main(["status", config.store.store]) == 0
    said = [summary.describe(), json.dumps(found, default=str), status_text(found), *capfd.readouterr()]
    written = [path.read_bytes().decode("latin-1") for path in Path(config.store.store).rglob("*") if path.is_file()]
    assert "p.jsonl.gz?..." in "".join(said)
    assert "p.jsonl.gz?..." in "".join(written)
    for text in (*said, *written):
        assert not any(secret in text for secret in SECRETS)


def test_no_error_holds_them(address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in ("/absent.jsonl?sig=SIGNATURE", "/p.unknown?sig=SIGNATURE", "/p.jsonl.gz?sig=SIGNATURE"):
        with pytest.raises(CorpusError) as caught:
            list(read_prompts(CorpusConfig(address + path)))
        shown = "".join(traceback.format_exception(caught.value))
        assert "http://...@127.0.0.1" in str(caught.value)
        assert not any(secret in shown for secret in SECRETS)
    for place in (f"{address}/store", "s3://bucket/x?sig=SIGNATURE"):
        assert main(["status", place]) == 1
        said = capsys.readouterr().err
        assert said.startswith("error: the store's address ")
        assert not any(secret in said for secret in SECRETS)


@pytest.mark.parametrize(
    "given",
    [
        ["trace", "--modle", "URL"],
        ["trace", "--modle=URL"],
        ["trace", "--prompt", "URL"],
        ["trace", "--prompt=URL"],
        ["trace", "--prompts", "p.jsonl", "URL"],
        ["trace", "--model", "m", "--transcoders", "t", "--prompts", "URL"],
        ["trace", "--attempts", "URL"],
        ["trace", "--attempts=URL"],
        ["trace", "--on-bad-prompt", "URL"],
        ["trace", "--prompts", "URL", "--prompts", "URL"],
        ["trace", "--prompts=URL", "--prompts=URL"],
        ["trace", "--URL", "--URL"],
        ["status", "URL", "URL"],
        ["status", "URL", "--watch"],
        ["query", "URL", "--show", "URL"],
        ["submit", "--", "--modle", "URL"],
        ["submit", "--", "--attempts=URL"],
        ["tracee", "URL"],
        ["URL"],
        ["--URL"],
    ],
    ids=" ".join,
)
def test_no_complaint_about_arguments_holds_them(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for url in (f"http://alice:{30 * 'PASSWORD'}@host/p.jsonl?sig={30 * 'SIGNATURE'}", "s3://a:PASS WORD@b/x"):
        assert main([arg.replace("URL", url) for arg in given]) == 1
        said = "".join(capsys.readouterr())
        assert said
        assert not any(secret in said for secret in ("alice", "PASS", "WORD", "SIGN"))


def test_a_mistyped_argument_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "store", "--wach", "\x1b[2J"]) == 1
    said = capsys.readouterr().err
    assert "--wach" in said
    assert "\x1b[2J" not in said
