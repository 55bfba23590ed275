"""Directories and disks that refuse: execute-only folders, no hard links, input/output errors, a disk that is full."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from preload import compiled
from random_graphs import random_graph
from random_stores import make_store, whole, write_part
from small_disks import mounted_disk

from distributed_tracer.errors import StoreError, StoreUnavailable
from distributed_tracer.store.backend.open import open_backend
from distributed_tracer.store.ledger import Ledger
from distributed_tracer.store.maintenance.gc import collect_garbage
from distributed_tracer.store.reader import open_store

TESTS = Path(__file__).parents[1]
GRAPHS = [random_graph(f"p{i}", seed=i, num_active=12, num_positions=3) for i in range(2)]
NOBODY = 65_534


def child(program: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """A program in a process of its own that has imported all that it takes before it begins."""
    begin = f"""
    import os, sys
    sys.path[:0] = {[str(TESTS), str(TESTS.parent)]!r}
    from random_graphs import random_graph
    from random_stores import make_store, whole, write_part
    from distributed_tracer.errors import StoreError, StoreUnavailable
    from distributed_tracer.store.ledger import Ledger
    from distributed_tracer.store.backend.open import open_backend
    from distributed_tracer.store.reader import open_store
    from distributed_tracer.store.maintenance.verify import verify
    GRAPHS = [random_graph(f"p{{i}}", seed=i, num_active=12, num_positions=3) for i in range(2)]
    """
    code = textwrap.dedent(begin) + textwrap.dedent(program)
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize("mode", [0o311, 0o300])
def test_a_store_in_or_under_a_folder_that_cannot_be_listed_works(mode: int) -> None:
    """Root may list all: then it is done by nobody."""
    user = NOBODY if os.geteuid() == 0 else os.geteuid()
    with tempfile.TemporaryDirectory() as place:  # pytest's own is closed to others
        above, store = Path(place) / "closed", Path(place) / "closed/itself"
        store.mkdir(parents=True)
        os.chmod(place, 0o711)
        for closed in (above, store):
            if user == NOBODY:
                os.chown(closed, user, -1)
            closed.chmod(mode)
        child(f"""
        make_store({f"{place}/any"!r}, [random_graph("any")])  # what is imported late is there now
        if os.geteuid() == 0:
            os.setuid({user})
        for url in ({f"{above}/below"!r}, {str(store)!r}):
            make_store(url, GRAPHS)
            Ledger(url).start_run(2, 0, 60.0, {{}})
            assert whole(url, GRAPHS) == 2
        """)
        for closed in (above, store):
            closed.chmod(0o755)
        assert whole(f"{above}/below", GRAPHS) == whole(str(store), GRAPHS) == 2


SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is_hit(const char *call, const char *path) {
    const char *wanted = getenv("SHIM_CALL"), *part = getenv("SHIM_PATH"), *flag = getenv("SHIM_FLAG");
    return wanted && part && flag && !strcmp(call, wanted) && strstr(path, part) && access(flag, F_OK) == 0;
}

static int is_hit_fd(const char *call, int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_hit(call, path);
}

#define REAL(name, result, ...) result (*real)(__VA_ARGS__) = (result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

ssize_t read(int fd, void *buffer, size_t count) {
    if (is_hit_fd("read", fd)) { errno = EIO; return -1; }
    REAL("read", ssize_t, int, void *, size_t);
    return real(fd, buffer, count);
}

ssize_t write(int fd, const void *buffer, size_t count) {
    if (is_hit_fd("write", fd)) { errno = EIO; return -1; }
    REAL("write", ssize_t, int, const void *, size_t);
    return real(fd, buffer, count);
}

int fsync(int fd) {
    if (is_hit_fd("fsync", fd)) { errno = EIO; return -1; }
    REAL("fsync", int, int);
    return real(fd);
}

int link(const char *from, const char *to) {
    if (is_hit("link", to)) { errno = atoi(getenv("SHIM_ERRNO")); return -1; }
    REAL("link", int, const char *, const char *);
    return real(from, to);
}
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A library that makes some calls of the C library fail, while the file SHIM_FLAG exists."""
    return compiled(SHIM, tmp_path_factory.mktemp("shim"))


def with_faults(shim: str, call: str, path: str, flag: Path, errno: int = 5) -> dict[str, str]:
    return {"LD_PRELOAD": shim, "SHIM_CALL": call, "SHIM_PATH": path, "SHIM_FLAG": str(flag), "SHIM_ERRNO": str(errno)}


@pytest.mark.parametrize(("call", "path"), [("write", "/parts/"), ("fsync", "/parts/"), ("fsync", "/commits")])
def test_an_input_output_error_while_writing_loses_nothing_that_was_committed(
    shim: str, tmp_path: Path, call: str, path: str
) -> None:
    url, flag = str(tmp_path / "store"), tmp_path / "flag"
    make_store(url, GRAPHS[:1])
    child(
        f"""
        manifest = None if {path!r} == "/parts/" else write_part({url!r}, GRAPHS[1:])
        open({str(flag)!r}, "w").close()
        try:
            Ledger({url!r}).commit(manifest or write_part({url!r}, GRAPHS[1:]))
            raise SystemExit("written all the same")
        except StoreUnavailable as error:
            assert "Input/output error" in str(error), error
        os.unlink({str(flag)!r})
        done = whole({url!r}, GRAPHS)
        if "p1" not in Ledger({url!r}).done():
            Ledger({url!r}).commit(write_part({url!r}, GRAPHS[1:]))
        """,
        with_faults(shim, call, path, flag),
    )
    assert whole(url, GRAPHS) == 2


def test_an_input_output_error_while_reading_is_no_damage_and_repair_removes_nothing(shim: str, tmp_path: Path) -> None:
    url, flag = str(tmp_path / "store"), tmp_path / "flag"
    digest = make_store(url, GRAPHS).digest()
    child(
        f"""
        from distributed_tracer.store.maintenance.repair import repair
        open({str(flag)!r}, "w").close()
        readers = [lambda: open_store({url!r}).digest(), lambda: verify(open_backend({url!r})), lambda: repair({url!r})]
        for read in readers:
            try:
                read()
                raise SystemExit("read all the same")
            except StoreUnavailable as error:
                assert "Input/output error" in str(error), error
        """,
        with_faults(shim, "read", "/nodes/kind/c", flag),
    )
    assert open_store(url).digest() == digest


@pytest.mark.parametrize("errno", [1, 38, 95])  # EPERM, ENOSYS, EOPNOTSUPP: exFAT, some network file systems
def test_a_file_system_without_hard_links_is_refused_at_once_and_nothing_is_left(
    shim: str, tmp_path: Path, errno: int
) -> None:
    url, flag = str(tmp_path / "store"), tmp_path / "flag"
    child(
        f"""
        open({str(flag)!r}, "w").close()
        try:
            Ledger({url!r}, retry_seconds=300.0).create_or_check({{"identity": {{}}}})
            raise SystemExit("written all the same")
        except StoreUnavailable:
            raise
        except StoreError as error:
            assert "hard links are needed" in str(error), error
        """,
        with_faults(shim, "link", "/store/", flag, errno),
    )
    assert not list((tmp_path / "store").iterdir())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Six megabytes."""
    with mounted_disk(tmp_path / "disk", 6) as place:
        yield place


def test_on_a_full_disk_what_is_committed_stays_and_gc_makes_room(small_disk: Path) -> None:
    url = str(small_disk / "store")
    make_store(url, GRAPHS[:1])
    write_part(url, [random_graph("lost", num_active=300, num_positions=9)])
    (small_disk / "ballast").write_bytes(bytes(max(0, shutil.disk_usage(small_disk).free - 64 * 1024)))
    with pytest.raises(StoreUnavailable, match="No space left"):
        write_part(url, [random_graph("large", num_active=2000, num_positions=30)])
    with pytest.raises(StoreUnavailable):
        Ledger(url, retry_seconds=0.1).commit(write_part(url, GRAPHS[1:]))
    assert whole(url, GRAPHS) == 1
    assert collect_garbage(url, grace_hours=0.0)
    Ledger(url).commit(write_part(url, GRAPHS[1:]))
    assert whole(url, GRAPHS) == 2
    assert open_backend(url).list_dir("parts")


def test_what_links_lead_to_is_not_removed(tmp_path: Path) -> None:
    """A folder of a store that is elsewhere: the link goes, and what it leads to stays."""
    url, elsewhere = str(tmp_path / "store"), tmp_path / "elsewhere"
    make_store(url, GRAPHS[:1])
    elsewhere.mkdir()
    (elsewhere / "mine").write_text("mine")
    (tmp_path / "store/parts" / ("a" * 32)).symlink_to(elsewhere)
    collect_garbage(url, grace_hours=0.0)
    open_backend(url).remove_folder(f"parts/{'a' * 32}")
    assert [path.name for path in elsewhere.iterdir()] == ["mine"]
    assert not (tmp_path / "store/parts" / ("a" * 32)).is_symlink()
    with pytest.raises(StoreError):
        open_store(str(elsewhere))
