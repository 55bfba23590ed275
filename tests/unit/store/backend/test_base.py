from __future__ import annotations

import subprocess
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from s3 import S3Server

from distributed_tracer.errors import ConfigError, StoreError
from distributed_tracer.store.backend import local
from distributed_tracer.store.backend.open import open_backend


def test_an_object_is_created_once_and_the_loser_learns_what_is_there(root_url: str) -> None:
    root = open_backend(root_url)
    assert root.put_if_absent("commits/1.json", b"mine") == b"mine"
    assert root.put_if_absent("commits/1.json", b"yours") == b"mine"
    assert root.read("commits/1.json") == b"mine"
    assert root.list_dir("commits") == ["1.json"]


def test_of_many_creators_at_once_all_agree_who_won(root_url: str) -> None:
    roots = [open_backend(root_url) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(lambda i: roots[i].put_if_absent("commits/1.json", b"%d" % i), range(8)))
    assert len(answers) == 1
    assert answers == {roots[0].read("commits/1.json")}


def test_replacing_leaves_the_new_object_alone(root_url: str) -> None:
    root = open_backend(root_url)
    root.put("failures/x.json", b"first")
    root.put("failures/x.json", b"second")
    assert root.read("failures/x.json") == b"second"
    assert root.list_dir("failures") == ["x.json"]


def test_absent_objects_and_folders_are_no_error(root_url: str) -> None:
    root = open_backend(root_url)
    root.put_many({"parts/a/x": b"1", "parts/a/d/c/0": b"2"})
    assert root.read("parts/a/y") is None
    assert root.read_many([]) == {}
    assert root.read_many(["parts/a/x", "parts/a/x/y", "parts/a/d/c/0"]) == {"parts/a/x": b"1", "parts/a/d/c/0": b"2"}
    assert root.list_dir("nothing") == []


@pytest.mark.parametrize("seconds", [0.0, 60.0])
def test_many_are_read_in_order_whether_they_come_soon_or_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    monkeypatch.setattr(local, "_BY_ITSELF", seconds)
    root = open_backend(str(tmp_path))
    objects = {f"parts/a/{number}": b"%d" % number for number in range(100)}
    root.put_many(objects)
    absent = ["parts/a/100", "parts/b", "parts/a/7/c"]
    assert list(root.read_many([*absent, *objects, *absent]).items()) == list(objects.items())


def test_a_new_object_is_listed_although_the_folder_was_listed_before(root_url: str) -> None:
    root, other = open_backend(root_url), open_backend(root_url)
    root.put_if_absent("commits/1.json", b"1")
    assert root.list_dir("commits") == ["1.json"]
    other.put_if_absent("commits/2.json", b"2")
    assert root.list_dir("commits") == ["1.json", "2.json"]


def test_a_home_directory_and_a_file_url_are_local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert open_backend("~/s").url == str(tmp_path / "s")
    assert open_backend(f"file://{tmp_path}/s").url == str(tmp_path / "s")


def test_an_unknown_kind_of_address_is_refused() -> None:
    with pytest.raises(StoreError, match="nosuch"):
        open_backend("nosuch://bucket/path")


@pytest.mark.parametrize(
    "url", ["s3://AKIAKEY:topsecret@bucket/run", "ftp://me:topsecret@host/run", "https://h/run?X-Signature=topsecret"]
)
def test_an_address_with_credentials_is_refused_without_repeating_them(url: str) -> None:
    with pytest.raises(ConfigError, match="AWS_ACCESS_KEY_ID") as caught:
        open_backend(url)
    assert "topsecret" not in "".join(traceback.format_exception(caught.value))
    assert "AKIAKEY" not in str(caught.value)


def test_a_refused_key_is_an_error_without_the_secret(s3: S3Server) -> None:
    url = s3.make_bucket("locked-bucket") + "/run"
    program = f"from distributed_tracer.store.reader import open_store; open_store({url!r})"
    environment = {**s3.environment, "AWS_SECRET_ACCESS_KEY": "wrong-but-still-secret"}
    here = str(Path(__file__).parents[4])
    answer = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, cwd=here, check=False
    )
    assert answer.returncode != 0
    assert "StoreError: cannot read" in answer.stderr
    assert "Permission" in answer.stderr
    assert "wrong-but-still-secret" not in answer.stderr + answer.stdout
    assert s3.environment["AWS_SECRET_ACCESS_KEY"] not in answer.stderr + answer.stdout


def test_a_server_that_is_gone_is_an_error_with_the_address(monkeypatch: pytest.MonkeyPatch, s3: S3Server) -> None:
    program = "from distributed_tracer.store.reader import open_store; open_store('s3://bucket/run')"
    environment = {**s3.environment, "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_MAX_ATTEMPTS": "1"}
    here = str(Path(__file__).parents[4])
    answer = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, cwd=here, check=False
    )
    assert "StoreUnavailable: cannot read" in answer.stderr
    assert "s3://bucket/run" in answer.stderr
    assert s3.environment["AWS_SECRET_ACCESS_KEY"] not in answer.stderr


def test_a_path_that_is_a_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match=r"cannot create .*file/run\.json: (NotADirectory|FileExists)Error"):
        open_backend(str(tmp_path / "file")).put_if_absent("run.json", b"{}")


def test_what_is_removed_is_gone_and_what_is_not_there_may_be_removed_too(root_url: str) -> None:
    root = open_backend(root_url)
    root.put_if_absent(".probe", b"1")
    root.put_if_absent("stays", b"2")
    for _ in range(2):
        root.remove(".probe")
        assert root.read(".probe") is None
    assert root.list_dir("") == ["stays"]
    assert root.put_if_absent(".probe", b"3") == b"3"


def test_a_listing_tells_every_object_below_with_size_and_time(root_url: str) -> None:
    root = open_backend(root_url)
    assert root.list_all("") == {}
    before = time.time()
    root.put_many({"parts/a [x]/x": b"1", "parts/a [x]/d/c/0": b"234", "parts/ab/x": b""})
    root.put_if_absent("run.json", b"{}")
    found = root.list_all("parts/a [x]")
    assert {key: stamp.num_bytes for key, stamp in found.items()} == {"parts/a [x]/x": 1, "parts/a [x]/d/c/0": 3}
    assert all(before - 2 < stamp.written < time.time() + 2 for stamp in found.values())  # S3 tells whole seconds
    assert set(root.list_all("")) == {*found, "parts/ab/x", "run.json"}
    assert root.list_all("nothing") == {}


def test_a_listing_is_not_kept_from_before(root_url: str) -> None:
    root, other = open_backend(root_url), open_backend(root_url)
    root.put_many({"parts/a/x": b"1"})
    assert set(root.list_all("parts")) == {"parts/a/x"}
    other.put_many({"parts/a/y": b"1"})
    assert set(root.list_all("parts")) == {"parts/a/x", "parts/a/y"}


def test_an_empty_local_folder_is_listed_with_its_time(tmp_path: Path) -> None:
    (tmp_path / "parts" / "a" / "b").mkdir(parents=True)
    (key, stamp), *others = open_backend(str(tmp_path)).list_all("parts").items()
    assert (key, stamp.num_bytes, others) == ("parts/a/b/", 0, [])
    assert abs(time.time() - stamp.written) < 5


def test_a_removed_folder_leaves_nothing_and_its_neighbours_stay(root_url: str) -> None:
    root = open_backend(root_url)
    root.put_many({"parts/a [x]/x": b"1", "parts/a [x]/d/c/0": b"2", "parts/a/x": b"3", "parts/a [x]y/x": b"4"})
    for _ in range(2):
        root.remove_folder("parts/a [x]")
        assert set(root.list_all("")) == {"parts/a/x", "parts/a [x]y/x"}


def test_an_upload_never_leaves_half_an_object_under_its_name(tmp_path: Path) -> None:
    """Two copies of one part may run at once, and one of them be committed: the other must not tear it."""
    root = open_backend(str(tmp_path))
    root.put_many({"parts/a/x": b"1" * 1000})
    program = f"""
import resource, signal, sys
sys.path.insert(0, {str(Path(__file__).parents[4])!r})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from distributed_tracer.store.backend import local
from distributed_tracer.store.backend.open import open_backend
resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
open_backend({str(tmp_path)!r}).put_many({{"parts/a/x": b"1" * 1000}})
"""
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "StoreUnavailable: cannot write a part to" in answer.stderr
    assert root.read("parts/a/x") == b"1" * 1000
    assert root.list_dir("parts/a") == ["x"]
