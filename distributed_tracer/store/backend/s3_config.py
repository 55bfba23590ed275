"""S3 configuration: botocore finds the endpoint and the credentials of a bucket, and passes them to obstore.

Endpoint, region and keys are thus looked up where AWS's tools look, and in fsspec's configuration for `s3`, which also
applies when prompts are read from buckets. obstore's own lookup knows no profiles, and only the region that it is
given.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import botocore.loaders
import botocore.session
import fsspec
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from obstore.store import S3Store

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config, S3Credential

_AWS = re.compile(r"s3[.-].*amazonaws\.com(\.cn)?")
_ATTEMPTS = 5
"""Number of times a request is sent: botocore's default, which its configuration and AWS_MAX_ATTEMPTS change."""
_TIMEOUTS = {"connect_timeout": 5, "read_timeout": 15}
"""Timeouts in seconds. The read timeout applies to each piece of a response."""
_WRITING_TAKES = 4
"""Factor by which the read timeout is longer for writing than for reading.

The time in which a response has to begin includes the time for sending the object while many others are sent. 16
objects of 900 KB take 15 seconds over 8 Mbit/s.
"""
_NEVER = timedelta(days=1)
_CREDENTIALS_HOLD = timedelta(minutes=15)
"""Time for which obstore keeps credentials.

obstore requests new ones five minutes before they expire. Those of botocore are valid for ten minutes at least.
"""


@dataclass(frozen=True)
class Access:
    """One folder of a bucket, for reading and for writing, and how many times a request may be sent."""

    reads: S3Store
    writes: S3Store
    attempts: int


def access(bucket: str, prefix: str) -> Access:
    """Return access to one folder of a bucket. Asks AWS for the region of the bucket.

    Raises what botocore raises, and PermissionError if botocore finds no credentials.
    """
    settings = fsspec.config.conf.get("s3", {})
    session = botocore.session.Session(profile=settings.get("profile"))
    session.register_component("data_loader", _loader())
    keys = None if settings.get("anon") else _credentials(session, settings)
    client = _client(session, settings)
    style = (client.meta.config.s3 or {}).get("addressing_style") or "auto"
    if is_aws := bool(_AWS.fullmatch(urlsplit(client.meta.endpoint_url).hostname or "")):
        client = _client(session, settings, _region_of(bucket, client))
    config: S3Config = {"region": client.meta.region_name, "disable_bulk_delete": True}
    endpoint = client.meta.endpoint_url
    if style == "virtual" or (style == "auto" and is_aws and "." not in bucket):
        endpoint = endpoint.replace("://", f"://{bucket}.", 1)
        config["virtual_hosted_style_request"] = True
    config["aws_endpoint_url_s3"] = endpoint  # the environment variable of this name would override `endpoint`
    if settings.get("requester_pays"):
        config["request_payer"] = True
    if keys is None:
        config["skip_signature"] = True

    def store(timeout_factor: int) -> S3Store:
        return S3Store(
            bucket,
            prefix=prefix or None,
            config=config,
            client_options=_client_options(session, settings, client, timeout_factor),
            retry_config={"max_retries": 0},  # S3Backend repeats requests, also those that obstore would not
            credential_provider=keys,
        )

    attempts = (client.meta.config.retries or {}).get("total_max_attempts", _ATTEMPTS)
    return Access(store(1), store(_WRITING_TAKES), attempts)


@cache
def _loader() -> botocore.loaders.Loader:
    """Return botocore's loader, which is kept because reading the description of S3's API takes 100 ms."""
    return botocore.loaders.create_loader()


def _client(session: botocore.session.Session, settings: dict[str, Any], region: str | None = None) -> Any:
    """Return a botocore client, from which endpoint, region and options are read; it signs nothing."""
    options = settings.get("client_kwargs", {})
    region = region or options.get("region_name") or session.get_config_variable("region")
    return session.create_client(
        "s3",
        region_name=region or os.environ.get("AWS_REGION"),
        endpoint_url=settings.get("endpoint_url") or options.get("endpoint_url"),
        use_ssl=settings.get("use_ssl", options.get("use_ssl", True)),
        verify=options.get("verify"),
        config=Config(**{**_TIMEOUTS, **settings.get("config_kwargs", {})}).merge(Config(signature_version=UNSIGNED)),
    )


def _region_of(bucket: str, client: Any) -> str:
    """Return the region of a bucket. AWS tells it to everybody, even if it refuses all other requests."""
    try:
        answer = client.head_bucket(Bucket=bucket)
    except ClientError as error:
        answer = error.response
    return str(answer["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region", client.meta.region_name))


def _client_options(
    session: botocore.session.Session, settings: dict[str, Any], client: Any, timeout_factor: int
) -> ClientConfig:
    options: ClientConfig = {
        "allow_http": client.meta.endpoint_url.startswith("http://"),
        "connect_timeout": timedelta(seconds=client.meta.config.connect_timeout),
        "read_timeout": timedelta(seconds=client.meta.config.read_timeout * timeout_factor),
        "timeout": _NEVER,  # for a whole response: large objects take long over slow connections
    }
    verify = settings.get("client_kwargs", {}).get("verify", session.get_config_variable("ca_bundle"))
    if verify is False:
        options["allow_invalid_certificates"] = True
    elif isinstance(verify, str) and not options["allow_http"]:
        options["root_certificate"] = Path(verify).read_bytes()
    return options


def _credentials(session: botocore.session.Session, settings: dict[str, Any]) -> Callable[[], S3Credential]:
    """Return the function that obstore calls when its keys are about to expire; botocore renews them when needed."""
    if settings.get("key") and settings.get("secret"):
        session.set_credentials(settings["key"], settings["secret"], settings.get("token"))
    found = session.get_credentials()
    if found is None:
        raise PermissionError(
            "no AWS credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, "
            """or FSSPEC_S3='{"anon": true}' for a public bucket"""
        )

    def current() -> S3Credential:
        frozen = found.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + _CREDENTIALS_HOLD,
        }

    return current
