"""How a bucket is reached: botocore finds out where it is and who asks, obstore is told.

So endpoint, region and keys are where AWS's tools look for them, and in fsspec's configuration for `s3`, which read
prompts from buckets too. obstore's own look-up knows no profiles, and no region but the one that it is told.
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
"""botocore's own number, which its configuration and AWS_MAX_ATTEMPTS change."""
_TIMEOUTS = {"connect_timeout": 5, "read_timeout": 15}
"""Seconds. The second is for each piece of an answer."""
_WRITING_TAKES = 4
"""Times as long as reading: the time in which an answer has to begin includes that of sending the object, beside many
others. 16 objects of 900 KB take 15 seconds over 8 Mbit/s."""
_NEVER = timedelta(days=1)
_CREDENTIALS_HOLD = timedelta(minutes=15)
"""obstore asks for new ones five minutes before. Those of botocore are good for ten minutes at least."""


@dataclass(frozen=True)
class Access:
    """One folder of a bucket, for reading and for writing, and how often a request may be sent."""

    reads: S3Store
    writes: S3Store
    attempts: int


def access(bucket: str, prefix: str) -> Access:
    """Raises what botocore does, and PermissionError where it finds no keys. Asks AWS for the region of a bucket."""
    told = fsspec.config.conf.get("s3", {})
    session = botocore.session.Session(profile=told.get("profile"))
    session.register_component("data_loader", _loader())
    keys = None if told.get("anon") else _credentials(session, told)
    client = _client(session, told)
    style = (client.meta.config.s3 or {}).get("addressing_style") or "auto"
    if is_aws := bool(_AWS.fullmatch(urlsplit(client.meta.endpoint_url).hostname or "")):
        client = _client(session, told, _region_of(bucket, client))
    config: S3Config = {"region": client.meta.region_name, "disable_bulk_delete": True}
    endpoint = client.meta.endpoint_url
    if style == "virtual" or (style == "auto" and is_aws and "." not in bucket):
        endpoint = endpoint.replace("://", f"://{bucket}.", 1)
        config["virtual_hosted_style_request"] = True
    config["aws_endpoint_url_s3"] = endpoint  # the variable of this name would replace `endpoint`
    if told.get("requester_pays"):
        config["request_payer"] = True
    if keys is None:
        config["skip_signature"] = True

    def store(patience: int) -> S3Store:
        return S3Store(
            bucket,
            prefix=prefix or None,
            config=config,
            client_options=_client_options(session, told, client, patience),
            retry_config={"max_retries": 0},  # S3Root repeats requests, also those that obstore would not
            credential_provider=keys,
        )

    attempts = (client.meta.config.retries or {}).get("total_max_attempts", _ATTEMPTS)
    return Access(store(1), store(_WRITING_TAKES), attempts)


@cache
def _loader() -> botocore.loaders.Loader:
    """Kept: it takes 100 ms to read how S3 is spoken to."""
    return botocore.loaders.create_loader()


def _client(session: botocore.session.Session, told: dict[str, Any], region: str | None = None) -> Any:
    """botocore's client, for what it knows of endpoint, region and options; it signs nothing."""
    options = told.get("client_kwargs", {})
    region = region or options.get("region_name") or session.get_config_variable("region")
    return session.create_client(
        "s3",
        region_name=region or os.environ.get("AWS_REGION"),
        endpoint_url=told.get("endpoint_url") or options.get("endpoint_url"),
        use_ssl=told.get("use_ssl", options.get("use_ssl", True)),
        verify=options.get("verify"),
        config=Config(**{**_TIMEOUTS, **told.get("config_kwargs", {})}).merge(Config(signature_version=UNSIGNED)),
    )


def _region_of(bucket: str, client: Any) -> str:
    """AWS tells it to anybody, also when it refuses all else."""
    try:
        answer = client.head_bucket(Bucket=bucket)
    except ClientError as error:
        answer = error.response
    return str(answer["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region", client.meta.region_name))


def _client_options(
    session: botocore.session.Session, told: dict[str, Any], client: Any, patience: int
) -> ClientConfig:
    options: ClientConfig = {
        "allow_http": client.meta.endpoint_url.startswith("http://"),
        "connect_timeout": timedelta(seconds=client.meta.config.connect_timeout),
        "read_timeout": timedelta(seconds=client.meta.config.read_timeout * patience),
        "timeout": _NEVER,  # of a whole answer: large ones take long over thin lines
    }
    verify = told.get("client_kwargs", {}).get("verify", session.get_config_variable("ca_bundle"))
    if verify is False:
        options["allow_invalid_certificates"] = True
    elif isinstance(verify, str) and not options["allow_http"]:
        options["root_certificate"] = Path(verify).read_bytes()
    return options


def _credentials(session: botocore.session.Session, told: dict[str, Any]) -> Callable[[], S3Credential]:
    """Return the function that obstore calls when its keys are about to expire; botocore renews them when needed."""
    if told.get("key") and told.get("secret"):
        session.set_credentials(told["key"], told["secret"], told.get("token"))
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
