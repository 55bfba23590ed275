"""Fuzz every reader of outside input for a while, guided by the lines of the package that an input reaches.

    python tests/fuzz/fuzz.py --seconds 1200 jsonl csv    # or `make fuzz FUZZ_SECONDS=1200`; all readers by default

A finding (another exception than the package's own, more than ten seconds, more than 2 GiB) is written to
failed/READER/, where the suite replays it from then on, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import resource
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from readers import FAILED, READERS, Reader, checked, mutated

PACKAGE = str(Path(__file__).parents[2] / "distributed_tracer")
MEMORY_BYTES = 2 * 2**30


class Lines:
    """While its block runs, collects which lines of the package are reached.

    Tracing a line costs more than running it, so a function that had nothing new for 200 calls is traced once in 16.
    """

    def __init__(self) -> None:
        self.reached: set[tuple[str, int]] = set()
        self.known: set[tuple[str, int]] = set()
        self._calls_without_news: dict[CodeType, int] = {}

    def __enter__(self) -> Lines:
        self.reached.clear()
        sys.settrace(self._call)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def news(self) -> bool:
        """Whether the last block reached a line that none before it did."""
        is_new = not self.reached <= self.known
        self.known |= self.reached
        return is_new

    def _call(self, frame: FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        if (calls := self._calls_without_news.get(code)) is None:
            calls = 0 if code.co_filename.startswith(PACKAGE) else -1
        self._calls_without_news[code] = calls + (calls >= 0)
        return self._line if 0 <= calls < 200 or (calls > 0 and calls % 16 == 0) else None

    def _line(self, frame: FrameType, event: str, _: Any) -> Any:
        line = (frame.f_code.co_filename, frame.f_lineno)
        if line not in self.known:
            self._calls_without_news[frame.f_code] = 0
        self.reached.add(line)
        return self._line


def fuzz(name: str, reader: Reader, seconds: float, rng: random.Random, corpus: list[bytes]) -> int:
    """Executions with new inputs for so many seconds of a processor; the number of findings."""
    lines, kinds = Lines(), set[str]()
    started, used, num_runs, num_found = time.monotonic(), time.process_time(), 0, 0
    while time.process_time() - used < seconds:
        data = corpus[num_runs] if num_runs < len(corpus) else mutated(rng.choice(corpus), tuple(corpus), rng)
        num_runs += 1
        begun = time.process_time()
        failure = ""
        with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
            try:
                with lines:
                    checked(reader, data, Path(folder))
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # a panic of a library in Rust is no Exception
                where = traceback.extract_tb(error.__traceback__)[-1]
                failure = f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}: {str(error)[:200]!r}"
        if time.process_time() - begun > reader.seconds:
            failure = failure or f"{time.process_time() - begun:.0f} seconds of a processor"
        kind = failure.partition(": ")[0]
        if failure and kind not in kinds:
            kinds.add(kind)
            num_found += 1
            path = FAILED / name / hashlib.sha256(data).hexdigest()[:12]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            print(f"{name}: {failure} -> {path}", flush=True)
        if lines.news():
            corpus.append(data)
    print(
        f"{name}: {num_runs:,} executions in {time.monotonic() - started:.0f} s "
        f"({time.process_time() - used:.0f} s of a processor), {len(lines.known)} lines of the package reached, "
        f"{len(corpus)} inputs kept, {num_found} findings",
        flush=True,
    )
    return num_found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("readers", nargs="*", choices=[[], *READERS], help="all without any")
    parser.add_argument("--seconds", type=float, default=60.0, help="of a processor, for each reader")
    parser.add_argument("--seed", type=int, default=None)
    args = parser.parse_args()
    names = args.readers or READERS
    with tempfile.TemporaryDirectory() as folder:  # libraries are loaded before memory is limited
        for name in names:
            for number, seed in enumerate(READERS[name].seeds):
                (path := Path(folder) / f"{name}-{number}").mkdir()
                checked(READERS[name], seed, path)
    warnings.simplefilter("error", RuntimeWarning)  # as the suite has it
    rng = random.Random(args.seed)
    found = 0
    for name in names:
        limit_memory()
        found += fuzz(name, READERS[name], args.seconds, rng, list(READERS[name].seeds))
    return 1 if found else 0


def limit_memory() -> None:
    """Limit what the next reader may allocate, beside what libraries have kept of readers before it."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, resource.RLIM_INFINITY))


if __name__ == "__main__":
    sys.exit(main())
