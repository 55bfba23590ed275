"""A bucket is found, and its keys, where AWS's tools and fsspec look for them."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fsspec
import pytest
from answering import Answer, Asked, answering, refusal
from s3 import S3Server

from distributed_tracer.errors import StoreError, StoreUnavailable
from distributed_tracer.store.backend.open import open_backend


@pytest.fixture
def url(s3: S3Server) -> str:
    return f"{s3.make_bucket(f'b{uuid.uuid4().hex[:12]}')}/store"


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    """An environment that says nothing."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


def works(url: str) -> bool:
    root = open_backend(url)
    root.put("x", b"1")
    return root.read("x") == b"1"


def test_a_profile_says_keys_and_endpoint(s3: S3Server, url: str, bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    keys = [f"aws_{name.lower()[4:]} = {value}" for name, value in s3.environment.items() if "KEY" in name]
    (tmp_path / "credentials").write_text("\n".join(["[lab]", *keys]))
    (tmp_path / "config").write_text(f"[profile lab]\nregion = eu-west-1\nendpoint_url = {s3.endpoint}\n")
    bare.setenv("AWS_PROFILE", "lab")
    assert works(url)


def test_fsspec_configuration_says_keys_and_endpoint(s3: S3Server, url: str, bare: pytest.MonkeyPatch) -> None:
    key, secret = s3.environment["AWS_ACCESS_KEY_ID"], s3.environment["AWS_SECRET_ACCESS_KEY"]
    told = {"key": key, "secret": secret, "client_kwargs": {"endpoint_url": s3.endpoint, "region_name": "eu-west-1"}}
    bare.setitem(fsspec.config.conf, "s3", told)
    assert works(url)
    bare.setitem(fsspec.config.conf, "s3", {**told, "secret": "another"})
    with pytest.raises(StoreError, match="SignatureDoesNotMatch"):
        works(url)


def test_the_endpoint_of_s3_goes_before_that_of_all_services(
    s3: S3Server, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert works(url)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    with pytest.raises(StoreUnavailable, match="Connection refused"):
        works(url)


@pytest.mark.parametrize(("hold", "are_fetched"), [(timedelta(minutes=1), True), (timedelta(hours=1), False)])
def test_keys_that_end_are_fetched_anew(
    hold: timedelta, are_fetched: bool, s3: S3Server, url: str, bare: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    key, secret = s3.environment["AWS_ACCESS_KEY_ID"], s3.environment["AWS_SECRET_ACCESS_KEY"]
    ends = (datetime.now(UTC) + hold).isoformat()
    answer = {"Version": 1, "AccessKeyId": key, "SecretAccessKey": secret, "Expiration": ends}
    (tmp_path / "answer").write_text(json.dumps(answer))
    program = f"echo >> {tmp_path / 'calls'}; cat {tmp_path / 'answer'}"
    (tmp_path / "config").write_text(f"[default]\ncredential_process = sh -c '{program}'\n")
    bare.setenv("AWS_ENDPOINT_URL", s3.endpoint)
    # obstore asks five minutes before; botocore calls the process if keys hold for less than a quarter of an hour
    bare.setattr("distributed_tracer.store.backend.s3_config._CREDENTIALS_HOLD", timedelta(minutes=5, seconds=0.5))
    root = open_backend(url)
    root.read("x")
    calls = (tmp_path / "calls").stat().st_size
    time.sleep(0.6)
    root.read("x")
    assert ((tmp_path / "calls").stat().st_size > calls) == are_fetched


def test_without_keys_the_error_says_where_they_are_looked_for(url: str, bare: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreError, match="no AWS credentials were found: set AWS_ACCESS_KEY_ID") as caught:
        open_backend(url)
    assert not isinstance(caught.value, StoreUnavailable)


def test_a_public_bucket_is_asked_without_a_signature(bare: pytest.MonkeyPatch) -> None:
    with answering(lambda asked: Answer(200, b"public")) as server:
        bare.setitem(fsspec.config.conf, "s3", {"anon": True, "endpoint_url": server.endpoint})
        assert open_backend("s3://bucket/store").read("x") == b"public"
        assert "Authorization" not in server.asked[0].headers


@pytest.mark.parametrize(
    ("name", "value", "place"),
    [
        ("AWS_DEFAULT_REGION", "us-west-2", "bucket.s3.us-west-2.amazonaws.com"),
        ("AWS_ENDPOINT_URL_S3", "http://s3.eu-central-1.amazonaws.com", "s3.eu-central-1.amazonaws.com/bucket"),
        ("AWS_REGION", "us-west-1", "bucket.s3.us-west-1.amazonaws.com"),
        ("NOTHING", "", "bucket.s3.amazonaws.com"),
    ],
)
def test_aws_is_asked_for_the_region_of_a_bucket_and_then_at_its_own_address(
    name: str, value: str, place: str, bare: pytest.MonkeyPatch
) -> None:
    def aws(asked: Asked) -> Answer:
        if asked.method == "GET":
            return Answer(200, b"there")
        return Answer(403, headers={"x-amz-bucket-region": "eu-central-1"})

    bare.setenv(name, value)
    with answering(aws) as server:  # as a proxy, which sees whole addresses
        bare.setenv("http_proxy", server.endpoint)
        bare.setenv("no_proxy", "")
        bare.setitem(fsspec.config.conf, "s3", {"key": "me", "secret": "mine", "use_ssl": False})
        assert open_backend("s3://bucket/store").read("x") == b"there"
        first, last = server.asked
    assert (first.method, first.url.rstrip("/")) == ("HEAD", f"http://{place}")
    assert "Authorization" not in first.headers
    assert (last.method, last.url) == ("GET", "http://bucket.s3.eu-central-1.amazonaws.com/store/x")
    assert "/eu-central-1/s3/" in last.headers["Authorization"]


def test_a_name_with_dots_stays_in_the_path(bare: pytest.MonkeyPatch) -> None:
    """AWS's certificates are for one name before its own."""
    with answering(lambda asked: refusal(404, "NoSuchKey")) as server:
        bare.setenv("http_proxy", server.endpoint)
        bare.setenv("no_proxy", "")
        bare.setitem(fsspec.config.conf, "s3", {"key": "me", "secret": "mine", "use_ssl": False})
        assert open_backend("s3://my.bucket/store").read("x") is None
        assert server.asked[-1].url == "http://s3.amazonaws.com/my.bucket/store/x"
