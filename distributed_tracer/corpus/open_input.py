"""Open input: opens a file of prompts, or of other rows, at any address, decompresses it, finds its format, and splits
it into lines. `unit` is what a row of the file is, for messages."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import BinaryIO, cast

import fsspec

from ..errors import CorpusError
from ..redact import cause_to_show, redacted, redacted_url
from ..text import printable

STDIN = "-"
MAX_LINE_BYTES = 16 * 2**20  # bounds the memory for any file; a prompt of two million tokens has about ten MiB
MAX_BLANK_LINES = 1_000_000  # a compressed file of a few KB can hold enough blank lines to read for days
BOM = b"\xef\xbb\xbf"
_BUFFER_BYTES = 2**16
_LONGEST = 1_000
"""Largest number of characters of a decoder's message, which may quote the file."""
COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst")
FORMAT_OF_ENDING = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".txt": "text",
}


def name_of(url: str) -> str:
    """Return the name of a file for messages and ids: its address without password and query."""
    return "<stdin>" if url == STDIN else redacted_url(url)


def path_of(url: str) -> str:
    """Return an address without its query and fragment, so that it ends with the file's name."""
    return re.split(r"[?#]", url, maxsplit=1)[0] if "://" in url else url


def format_of(url: str, option: str = "prompt_format") -> str:
    """Return the format of a file according to its ending. Raises CorpusError for an unknown ending."""
    inner = path_of(url).lower().removesuffix(_compression_of(url))
    for ending, name in FORMAT_OF_ENDING.items():
        if inner.endswith(ending):
            return name
    raise CorpusError(
        f"{name_of(url)}: unknown file ending; known are {', '.join(FORMAT_OF_ENDING)}, each also with "
        f"{', '.join(COMPRESSIONS)}. Rename the file or set {option}."
    )


def _compression_of(url: str) -> str:
    return next((ending for ending in COMPRESSIONS if path_of(url).lower().endswith(ending)), "")


@contextmanager
def open_source(url: str, unit: str = "prompt") -> Iterator[BinaryIO]:
    """Open a file, and yield a binary file of its decompressed bytes. Raises CorpusError if it cannot be opened."""
    if url == STDIN:
        yield sys.stdin.buffer
        return
    with translate_read_errors(name_of(url), unit):
        file = fsspec.open(url, "rb").open()
    with file:
        yield _decompress(file, _compression_of(url))


@contextmanager
def translate_read_errors(name: str, unit: str = "prompt") -> Iterator[None]:
    """Turn the exceptions of file systems, decompressors and decoders into CorpusError.

    Their messages may contain addresses with credentials. Credentials are left out, and so is a cause that has them.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise CorpusError(f"{name}: no such file; expected {unit}s there") from cause_to_show(error)
    except IsADirectoryError as error:
        raise CorpusError(f"{name}: found a directory, expected one {unit} file") from cause_to_show(error)
    except Exception as error:
        message = " ".join(f"{type(error).__name__}: {error}".split())
        reason = printable(redacted(message))[:_LONGEST]
        raise CorpusError(f"{name}: cannot be read: {reason}") from cause_to_show(error)


def _decompress(file: BinaryIO, compression: str) -> BinaryIO:
    match compression:
        case ".gz":
            return cast(BinaryIO, gzip.GzipFile(fileobj=file))
        case ".bz2":
            return cast(BinaryIO, bz2.BZ2File(file))
        case ".xz":
            return cast(BinaryIO, lzma.LZMAFile(file))
        case ".zst":
            return _zstd_file(file)
        case _:  # remote files of fsspec have no readline with a length limit
            return io.BufferedReader(cast(io.RawIOBase, file), _BUFFER_BYTES)


def _zstd_file(file: BinaryIO) -> BinaryIO:
    # The `zstandard` package is not used: its reader has no readline and silently stops after the first frame.
    try:
        zstd = import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
    except ImportError as error:
        raise CorpusError("reading .zst needs a package: pip install 'distributed-tracer[zstd]'") from error
    return cast(BinaryIO, zstd.ZstdFile(file))


def read_lines(file: BinaryIO, name: str, unit: str = "prompt") -> Iterator[tuple[int, bytes]]:
    """Yield each line with its number, from 1, and with its newline, but without a leading byte order mark.

    Raises CorpusError if reading fails, and also for a line longer than MAX_LINE_BYTES or for more than MAX_BLANK_LINES
    blank lines in a row, because such a file does not consist of lines.
    """
    number = num_blank = 0
    while True:
        with translate_read_errors(f"{name}:{number + 1}", unit):
            raw = file.readline(MAX_LINE_BYTES + 1)
        if not raw:
            return
        number += 1
        if len(raw) > MAX_LINE_BYTES:
            limit = f"{MAX_LINE_BYTES // 2**20} MiB"
            raise CorpusError(f"{name}:{number}: found a line longer than {limit}, expected a {unit} per line")
        num_blank = 0 if raw.strip() else num_blank + 1
        if num_blank > MAX_BLANK_LINES:
            raise CorpusError(f"{name}:{number}: found {MAX_BLANK_LINES:,} blank lines in a row, expected {unit}s")
        yield number, raw.removeprefix(BOM) if number == 1 else raw
