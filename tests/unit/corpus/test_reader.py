"""Each format gives the same prompts; each malformed row says where it is, and what was expected instead."""

from __future__ import annotations

import bz2
import datetime
import gzip
import io
import json
import lzma
import sys
import tracemalloc
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fsspec
import pyarrow
import pyarrow.parquet
import pytest
from backports import zstd

from distributed_tracer.config import CorpusConfig
from distributed_tracer.corpus.reader import BadPrompt, read_prompts
from distributed_tracer.errors import ConfigError, CorpusError
from distributed_tracer.prompt import Prompt, TargetSpec, hash_prompt

Write = Callable[[str, bytes], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(name: str, content: bytes) -> str:
        (tmp_path / name).write_bytes(content)
        return str(tmp_path / name)

    return write_file


def read(url: str, **options: Any) -> list[Prompt]:
    prompts = list(read_prompts(CorpusConfig(url, **options)))
    assert all(isinstance(prompt, Prompt) for prompt in prompts)
    return prompts  # type: ignore[return-value]


def jsonl(*objects: object) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in objects)


TARGETS = (TargetSpec(token=5), TargetSpec(token=" a", minus=" b", label=" a -  b"))
PROMPTS = [
    Prompt("one", 'The capital,\nof "Texas" is', metadata={"state": "Texas"}),
    Prompt("2", None, (1, 20, 300), TARGETS),
    Prompt(hash_prompt("没有编号", None), "没有编号"),
]


def test_jsonl_gives_prompts_with_tokens_targets_and_metadata(write: Write) -> None:
    url = write(
        "prompts.jsonl",
        jsonl(
            {"id": "one", "text": 'The capital,\nof "Texas" is', "state": "Texas"},
            {"id": 2, "tokens": [1, 20, 300], "targets": [5, " a -  b"]},
            {"id": None, "text": "没有编号", "tokens": None, "targets": None},
        ),
    )
    assert read(url) == PROMPTS


@pytest.mark.parametrize(("ending", "delimiter"), [("csv", ","), ("tsv", "\t")])
def test_tables_give_the_same_prompts(write: Write, ending: str, delimiter: str) -> None:
    rows = [
        ["id", "text", "tokens", "targets", "state"],
        ["one", '"The capital,\nof ""Texas"" is"', "", "", "Texas"],
        ["2", "", "1 20 300", '"[5, "" a -  b""]"', ""],
        ["", "没有编号", "", "", ""],
    ]
    url = write(f"prompts.{ending}", "\r\n".join(delimiter.join(row) for row in rows).encode())
    assert [(p.id, p.text, p.tokens, p.targets) for p in read(url)] == [
        (p.id, p.text, p.tokens, p.targets) for p in PROMPTS
    ]
    assert [p.metadata["state"] for p in read(url)] == ["Texas", "", ""]


def test_a_tokens_cell_may_be_a_json_list(write: Write) -> None:
    assert read(write("p.csv", b'tokens\n"[7, 8]"\n'))[0].tokens == (7, 8)


def test_parquet_gives_the_same_prompts(tmp_path: Path) -> None:
    rows = {
        "id": ["one", "2", None],
        "text": ['The capital,\nof "Texas" is', None, "没有编号"],
        "tokens": [None, [1, 20, 300], None],
        "targets": [None, [{"token": "5", "minus": None}, {"token": " a", "minus": " b"}], None],
    }
    path = tmp_path / "prompts.parquet"
    pyarrow.parquet.write_table(pyarrow.table(rows), path)
    prompts = read(str(path))
    assert [(p.id, p.text, p.tokens) for p in prompts] == [(p.id, p.text, p.tokens) for p in PROMPTS]
    assert prompts[1].targets == (TargetSpec(token="5"), TargetSpec(token=" a", minus=" b"))


def test_plain_text_keeps_lines_to_the_letter_and_skips_blank_ones(write: Write) -> None:
    prompts = read(write("p.txt", "first \r\n\n  \n\tsecond\u2028still".encode()))
    assert [p.text for p in prompts] == ["first ", "\tsecond\u2028still"]
    assert prompts[0].id == hash_prompt("first ", None)


@pytest.mark.parametrize("name", ["p.jsonl", "p.csv", "p.tsv", "p.txt"])
def test_a_byte_order_mark_is_not_part_of_the_text(write: Write, name: str) -> None:
    content = {"p.jsonl": b'{"text": "a"}', "p.txt": b"a"}.get(name, b"text\na")
    assert [p.text for p in read(write(name, b"\xef\xbb\xbf" + content))] == ["a"]


@pytest.mark.parametrize(
    ("ending", "compress"),
    [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress), ("zst", zstd.compress)],
)
def test_compressed_files_are_read_through_all_their_members(
    write: Write, ending: str, compress: Callable[[bytes], bytes]
) -> None:
    url = write(f"p.jsonl.{ending}", compress(jsonl({"text": "a"})) + compress(jsonl({"text": "b"})))
    assert [p.text for p in read(url)] == ["a", "b"]


@pytest.mark.parametrize("ending", ["gz", "bz2", "xz", "zst"])
def test_damaged_compression_is_an_error_not_the_end_of_the_file(write: Write, ending: str) -> None:
    compress = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstd.compress}[ending]
    whole = compress(jsonl(*({"text": f"prompt {n}"} for n in range(2000))))
    url = write(f"p.jsonl.{ending}", whole[: len(whole) // 2])
    with pytest.raises(CorpusError, match=r"p\.jsonl\.\w+:\d+: cannot be read: EOFError"):
        read(url, on_bad_prompt="record")


def test_prompts_come_from_any_fsspec_url() -> None:
    with fsspec.open("memory://corpus/p.jsonl.gz", "wb", compression="gzip") as file:
        file.write(jsonl({"text": "a"}))
    assert [p.text for p in read("memory://corpus/p.jsonl.gz")] == ["a"]


@pytest.mark.parametrize(
    ("content", "text"), [(b'\xef\xbb\xbf{"text": "a"}\n', "a"), (b"plain {\n", "plain {"), (b"", None)]
)
def test_standard_input_is_jsonl_if_it_starts_with_a_brace(
    monkeypatch: pytest.MonkeyPatch, content: bytes, text: str | None
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
    assert [p.text for p in read("-")] == ([] if text is None else [text])


def test_standard_input_is_named_in_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"{}")))
    with pytest.raises(CorpusError, match=r"^<stdin>:1: text, tokens or messages: found none, expected exactly one"):
        read("-")


def test_the_format_can_be_said_where_the_ending_does_not_tell(write: Write) -> None:
    assert [p.text for p in read(write("p.dat", b"text\na\n"), prompt_format="csv")] == ["a"]


def test_reading_does_not_hold_the_file_in_memory(write: Write) -> None:
    url = write("p.jsonl", jsonl({"text": "x" * 10_000}) * 2_000)
    tracemalloc.start()
    count = sum(1 for _ in read_prompts(CorpusConfig(url)))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 2_000
    assert peak_bytes < 1_000_000  # of 20 MB


def test_prompts_are_read_as_they_are_asked_for(write: Write) -> None:
    url = write("p.jsonl", jsonl({"text": "a"}) * 10 + b"broken\n")
    assert len(list(islice(read_prompts(CorpusConfig(url)), 10))) == 10


BAD_OBJECTS = [
    (
        b'{"text": "a"',
        "bad JSON at column 13: Expecting ',' delimiter; found '{\"text\": \"a\"', expected valid",
    ),
    (b"text", "bad JSON at column 1: Expecting value; found 'text', expected valid JSON"),
    (b'{"text": "a"}{}', "bad JSON at column 14: Extra data"),
    (b"[" * 100_000, "bad JSON: nested too deeply"),
    (b'["text"]', "not an object: found ['text'], expected one JSON object per line"),
    (b'{"text": "a", "text": "b"}', "duplicate key 'text': found it 2 times, expected once"),
    (b'{"text": "a", "m": {"k": 1, "k": 2}}', "duplicate key 'k': found it 2 times, expected once"),
    (b'{"text": "a\xff"}', "not UTF-8: found byte 0xff at byte 12 of the line, expected UTF-8 text"),
    (b"{}", "text, tokens or messages: found none, expected exactly one"),
    (b'{"text": null}', "text, tokens or messages: found none, expected exactly one"),
    (b'{"text": "a", "tokens": [1]}', "text, tokens or messages: found text and tokens, expected exactly one"),
    (b'{"text": ""}', "empty text: found '', expected at least one character"),
    (b'{"text": 5}', "wrong text: found 5, expected a string"),
    (b'{"text": ["a"]}', "wrong text: found ['a'], expected a string"),
    (b'{"text": "\\ud800"}', "wrong text: found half a surrogate pair, U+D800, expected text"),
    (b'{"tokens": []}', "empty tokens: found [], expected at least one token id"),
    (b'{"tokens": "1 2"}', "wrong tokens: found '1 2', expected a list of token ids"),
    (b'{"tokens": [1, -2]}', "wrong token id at position 1: found -2, expected an integer from 0"),
    (b'{"tokens": [true]}', "wrong token id at position 0: found True, expected an integer from 0"),
    (b'{"tokens": [1.0]}', "wrong token id at position 0: found 1.0, expected an integer from 0"),
    (b'{"tokens": ["1"]}', "wrong token id at position 0: found '1', expected an integer from 0"),
    (b'{"tokens": [NaN]}', "not JSON: found NaN, expected a finite number or null"),
    (b'{"text": "a", "score": -Infinity}', "not JSON: found -Infinity, expected a finite number or null"),
    (b'{"text": "a", "score": 1e999}', "number out of range: found '1e999', expected a float64"),
    (b'{"text": "a", "note": "\\udc00"}', "wrong metadata 'note': found half a surrogate pair, U+DC00"),
    (b'{"text": "a", "id": true}', "wrong id: found True, expected a string or a number"),
    (b'{"text": "a", "id": ["x"]}', "wrong id: found ['x'], expected a string or a number"),
    (b'{"text": "a", "id": ""}', "empty id: found '', expected at least one visible character"),
    (b'{"text": "a", "id": " "}', "empty id: found ' ', expected at least one visible character"),
    (b'{"text": "a", "id": "%s"}' % (b"x" * 513), "id too long: found 513 characters, expected at most 512"),
    (b'{"text": "a", "id": "\\udfff"}', "wrong id: found half a surrogate pair, U+DFFF"),
    (b'{"text": "a", "targets": 5}', "wrong targets: found 5, expected a list of targets"),
    (b'{"text": "a", "targets": [5, true]}', "target 2: a target must be a token id, a string or an object"),
    (b'{"text": "a", "targets": [{"token": 1, "size": 2}]}', "target 1: unknown field 'size' in a target"),
    (
        b'{"text": "a", "targets": ["\\ud800"]}',
        "target 1: wrong 'token' of a target: found half a surrogate pair, U+D800",
    ),
]


@pytest.mark.parametrize(("line", "reason"), BAD_OBJECTS)
def test_a_bad_line_stops_with_file_and_line(write: Write, line: bytes, reason: str) -> None:
    url = write("p.jsonl", b'\n{"text": "good"}\n' + line + b"\n")
    with pytest.raises(CorpusError) as caught:
        read(url)
    assert str(caught.value).startswith(f"{url}:3: {reason}")


def test_bad_lines_are_recorded_and_the_rest_is_read(write: Write) -> None:
    content = b"".join(line + b'\n{"text": "good"}\n' for line, _ in BAD_OBJECTS)
    url = write("p.jsonl", content)
    found = list(read_prompts(CorpusConfig(url, on_bad_prompt="record")))
    assert [p.text for p in found if isinstance(p, Prompt)] == ["good"] * len(BAD_OBJECTS)
    bad = [p for p in found if isinstance(p, BadPrompt)]
    for number, (prompt, (_, reason)) in enumerate(zip(bad, BAD_OBJECTS, strict=True)):
        assert prompt.where == f"{url}:{2 * number + 1}"
        assert prompt.reason.startswith(reason)
        assert prompt.id == prompt.where


def test_a_recorded_prompt_keeps_its_id_if_that_can_be_read(write: Write) -> None:
    url = write("p.jsonl", jsonl({"id": "seven", "text": ""}, {"id": 7, "tokens": [-1]}))
    found = read_prompts(CorpusConfig(url, on_bad_prompt="record"))
    assert [p.id for p in found] == ["seven", "7"]


def test_messages_hold_no_control_characters_and_stay_short(write: Write) -> None:
    url = write("p.jsonl", jsonl({"text": ["\x1b[2J" * 10_000] * 1000}))
    with pytest.raises(CorpusError) as caught:
        read(url)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < len(url) + 400


def test_a_long_id_and_a_long_prompt_are_accepted_up_to_the_limit(write: Write) -> None:
    long_text = "word " * 100_000
    (prompt,) = read(write("p.csv", f"id,text\n{'x' * 512},{long_text}\n".encode()))
    assert (len(prompt.id), prompt.text) == (512, long_text)


def test_a_file_without_lines_is_refused_before_memory_fills(write: Write) -> None:
    url = write("p.txt", b"x" * (17 * 2**20))
    with pytest.raises(CorpusError, match=r"p\.txt:1: found a line longer than 16 MiB, expected a prompt per"):
        read(url, on_bad_prompt="record")


BAD_TABLES = [
    (b"a,b,c\n", "wrong number of cells: found 3, expected 2 as in header"),
    (b"a\n", "wrong number of cells: found 1, expected 2 as in header"),
    (b",1 x\n", "bad token id: found 'x', expected integers with spaces between"),
    (b",1 2.0\n", "bad token id: found '2.0', expected integers with spaces between"),
    (b",1 -2\n", "wrong token id at position 1: found -2, expected an integer from 0"),
    (b",1_000\n", "bad token id: found '1_000', expected integers with spaces between"),
    (b',"[1, NaN]"\n', "not JSON: found NaN, expected a finite number or null"),
    (b",[1\n", "bad JSON at column 3"),
    (b",\n", "text, tokens or messages: found none, expected exactly one"),
    (b"a,1\n", "text, tokens or messages: found text and tokens, expected exactly one"),
    (b"a\xe9,\n", "not UTF-8: found byte 0xe9 at byte 2 of the line, expected UTF-8 text"),
    (b'"a"b,\n', "bad quoting: found ''"),
]


@pytest.mark.parametrize(("line", "reason"), BAD_TABLES)
def test_a_bad_record_stops_with_the_line_it_begins_on(write: Write, line: bytes, reason: str) -> None:
    url = write("p.csv", b'text,tokens\n"two\nlines",\n\n' + line + b"last,\n")
    with pytest.raises(CorpusError) as caught:
        read(url)
    assert str(caught.value).startswith(f"{url}:5: {reason}")
    found = list(read_prompts(CorpusConfig(url, on_bad_prompt="record")))
    assert [p.text if isinstance(p, Prompt) else p.id for p in found] == ["two\nlines", f"{url}:5", "last"]


def test_a_quote_that_is_never_closed_is_an_error(write: Write) -> None:
    url = write("p.csv", b'text\n"a\nb\n')
    with pytest.raises(CorpusError, match=r"p\.csv:2: bad quoting: found 'unexpected end of data'"):
        read(url)


@pytest.mark.parametrize(
    ("bad_targets", "reason"),
    [
        ("[1", "expected valid JSON"),
        ("5", "unclear targets: found '5', expected a JSON list, as in [1234], [\"1234\"]"),
        ('"{""token"": 5}"', "unclear targets"),
        ('"""Austin"""', "unclear targets"),
        (" - ,", "wrong number of cells"),
    ],
)
def test_a_targets_cell_that_could_mean_two_things_is_an_error(write: Write, bad_targets: str, reason: str) -> None:
    url = write("p.csv", f"id,text,targets\nx,a,{bad_targets}\n".encode())
    (bad,) = read_prompts(CorpusConfig(url, on_bad_prompt="record"))
    assert isinstance(bad, BadPrompt)
    assert bad.id == "x"
    assert reason in bad.reason


@pytest.mark.parametrize("cell", ["Austin", " Austin", "Austin - Texas", "Austin;Dallas", ";", "<0xE6>"])
def test_any_other_targets_cell_is_one_target_to_the_letter(write: Write, cell: str) -> None:
    (prompt,) = read(write("p.csv", f"text,targets\na,{cell}\n".encode()))
    assert prompt.targets == (TargetSpec.parse(cell),)


CHAT = [{"role": "user", "content": "Texas?"}]


def test_messages_are_read_from_every_format(write: Write, tmp_path: Path) -> None:
    row = {"id": "a", "messages": CHAT, "n": "1"}
    cell = json.dumps(CHAT).replace('"', '""')
    urls = [write("p.jsonl", jsonl(row)), write("p.csv", f'id,messages,n\na,"{cell}",1\n'.encode())]
    urls.append(str(tmp_path / "p.parquet"))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row]), urls[-1])
    for url in urls:
        assert read(url) == [Prompt("a", messages=(("user", "Texas?"),), metadata={"n": "1"})]
    (unnamed,) = read(write("q.jsonl", jsonl({"messages": CHAT})))
    assert unnamed.id == hash_prompt(None, None, messages=[("user", "Texas?")]) != hash_prompt(None, None)


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([], "wrong messages: found []"),
        ("hello", "wrong messages: found 'hello'"),
        (["hello"], "message 1: found 'hello'"),
        ([{"role": "user"}], "message 1: found {'role': 'user'}, expected role and content"),
        ([*CHAT, {"role": "user", "content": ["x"]}], "message 2: "),
        ([{"role": "user", "content": "x", "tool_calls": [1]}], "message 1: "),
    ],
)
def test_what_are_no_messages_is_an_error(write: Write, messages: object, reason: str) -> None:
    with pytest.raises(CorpusError) as caught:
        read(write("p.jsonl", jsonl({"messages": messages})))
    assert f":1: {reason}" in str(caught.value)


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_the_text_is_in_the_field_that_is_named(write: Write, tmp_path: Path, ending: str) -> None:
    row = {"prompt": "a", "text": "b", "messages": "c"}
    url = str(tmp_path / f"p.{ending}")
    if ending == "parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row]), url)
    else:
        write(f"p.{ending}", jsonl(row) if ending == "jsonl" else b"prompt,text,messages\na,b,c\n")
    (prompt,) = read(url, text_field="prompt")
    assert (prompt.text, prompt.metadata) == ("a", {"text": "b", "messages": "c"})
    with pytest.raises(CorpusError, match="question"):
        read(url, text_field="question")


def test_plain_text_has_no_field_to_name_and_some_names_are_taken(write: Write) -> None:
    with pytest.raises(CorpusError, match="plain text has no columns, so none can be 'prompt'"):
        read(write("p.txt", b"a"), text_field="prompt")
    for name in ("", "id", "tokens", "targets"):
        with pytest.raises(ConfigError, match="text_field must name a column"):
            CorpusConfig("p.txt", text_field=name)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "1: missing column: found columns (none), expected text or tokens or messages among them"),
        (
            b"id,prompt\n1,a\n",
            "1: missing column: found columns 'id', 'prompt', expected text or tokens or messages among",
        ),
        (b",text\n0,a\n", "1: column 1 has no name: found columns '', 'text', expected a name for each"),
        (b"text,text\na,b\n", "1: duplicate column 'text': found columns 'text', 'text', expected each once"),
        (b"text,\xff\na,b\n", "1: header not UTF-8: found byte 0xff"),
        (b'"text"x\na\n', "1: bad quoting: found"),
    ],
)
def test_a_bad_header_stops_even_where_bad_prompts_are_recorded(write: Write, content: bytes, message: str) -> None:
    url = write("p.csv", content)
    with pytest.raises(CorpusError) as caught:
        read(url, on_bad_prompt="record")
    assert str(caught.value).startswith(f"{url}:{message}")


def test_unknown_endings_list_the_known_ones(write: Write) -> None:
    with pytest.raises(CorpusError) as caught:
        read(write("p.json", b"{}"))
    assert "p.json: unknown file ending; known are .jsonl, .ndjson, .csv, .tsv, .parquet, .txt" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("/nowhere/p.jsonl", "/nowhere/p.jsonl: no such file; expected prompts there"),
        ("memory://nowhere/p.csv", "memory://nowhere/p.csv: no such file; expected prompts there"),
        (
            "gopher://host/p.jsonl",
            "gopher://host/p.jsonl: cannot be read: ValueError: Protocol not known: gopher",
        ),
    ],
)
def test_a_file_that_is_not_there_is_a_corpus_error(url: str, message: str) -> None:
    with pytest.raises(CorpusError) as caught:
        read(url)
    assert str(caught.value).startswith(message)


def test_a_directory_is_a_corpus_error(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").mkdir()
    with pytest.raises(CorpusError, match=r"p\.jsonl: found a directory, expected one prompt file"):
        read(str(tmp_path / "p.jsonl"))


def test_a_file_that_is_not_parquet_is_a_corpus_error(write: Write) -> None:
    with pytest.raises(CorpusError, match=r"p\.parquet: cannot be read: ArrowInvalid"):
        read(write("p.parquet", b"text\na\n"))


def test_parquet_rows_are_checked_like_the_others(tmp_path: Path) -> None:
    rows = {
        "id": ["a", "b", "c"],
        "text": ["x", "", "y"],
        "when": [None, None, datetime.date(2026, 1, 1)],
    }
    path = str(tmp_path / "p.parquet")
    pyarrow.parquet.write_table(pyarrow.table(rows), path)
    good, empty, dated = read_prompts(CorpusConfig(path, on_bad_prompt="record"))
    assert good == Prompt("a", "x", metadata={"when": None})
    assert empty == BadPrompt("b", f"{path}:2", "empty text: found '', expected at least one character")
    assert isinstance(dated, BadPrompt)
    assert dated.reason.startswith("wrong metadata 'when': found {'when': datetime.date(2026, 1, 1)}")


def test_parquet_without_text_or_tokens_is_a_corpus_error(tmp_path: Path) -> None:
    path = str(tmp_path / "p.parquet")
    pyarrow.parquet.write_table(pyarrow.table({"prompt": ["a"]}), path)
    with pytest.raises(CorpusError, match=r"p\.parquet: missing column: found columns 'prompt', expected text"):
        read(path)


def test_parquet_from_a_stream_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=Pipe(b"PAR1")))
    with pytest.raises(CorpusError, match="<stdin>: Parquet is read from its end: found a stream, expected a"):
        read("-", prompt_format="parquet")


@pytest.mark.parametrize(
    ("name", "module", "remedy"),
    [
        ("p.parquet", "pyarrow.parquet", r"pip install 'distributed-tracer\[parquet\]'"),
        ("p.jsonl.zst", "backports.zstd", r"pip install 'distributed-tracer\[zstd\]'"),
    ],
)
def test_a_missing_optional_package_is_named(
    write: Write, monkeypatch: pytest.MonkeyPatch, name: str, module: str, remedy: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)  # importing it now fails, as where it is not installed
    with pytest.raises(CorpusError, match=remedy):
        read(write(name, b""))


def test_a_text_that_all_rows_of_a_parquet_file_share_is_in_memory_once(tmp_path: Path) -> None:
    text = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 300, pyarrow.int32()), ["x" * 2**20])
    pyarrow.parquet.write_table(pyarrow.table({"text": text}), tmp_path / "p.parquet", compression="zstd")
    assert (tmp_path / "p.parquet").stat().st_size < 2**12
    before = pyarrow.total_allocated_bytes()
    for prompt in read_prompts(CorpusConfig(str(tmp_path / "p.parquet"))):
        assert isinstance(prompt, Prompt)
        assert pyarrow.total_allocated_bytes() - before < 16 * 2**20
        assert len(prompt.text or "") == 2**20


def test_long_lists_in_a_parquet_file_are_read_a_few_rows_at_a_time(tmp_path: Path) -> None:
    rows = [[7] * 2**18] * 64
    pyarrow.parquet.write_table(pyarrow.table({"tokens": rows}), tmp_path / "p.parquet", compression="zstd")
    before = pyarrow.total_allocated_bytes()
    for prompt in read_prompts(CorpusConfig(str(tmp_path / "p.parquet"))):
        assert pyarrow.total_allocated_bytes() - before < 48 * 2**20, "all of them have 128 MiB"
        assert isinstance(prompt, Prompt)
        assert len(prompt.tokens or ()) == 2**18
