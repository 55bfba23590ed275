"""Commands that prepare a cluster: doctor, bundle, verify-bundle; and the version."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from .. import __version__
from ..ops.bundle.wheel_target import PLATFORM, Target, this_python
from ..text import printable
from .app import print_answer


def doctor(
    ray_address: str | None = None,
    model: str | None = None,
    transcoders: str | None = None,
    store: str | None = None,
    prompts: str | None = None,
    text_field: str = "text",
    full_hash: bool = False,
    timeout_seconds: float = 60.0,
    json: bool = False,
) -> int:
    """Check every node of a cluster, or this machine, before a run. Exit code 1 if a run should not be started yet.

    Args:
        ray_address: A running cluster, as for trace (RAY_ADDRESS counts too); without one this machine is checked.
        model: As for trace: is it there, whole, and the same on all nodes?
        transcoders: As for trace, likewise.
        store: As for trace: can it be written from everywhere? A small object is made in it and removed.
        prompts: As for trace: can they be read?
        text_field: As for trace.
        full_hash: Compare all bytes of files; otherwise those of more than 64 MiB by samples of every tensor.
        timeout_seconds: How long to wait for the nodes' answers.
        json: Whether to print the answer as JSON.
    """
    from ..ops.doctor.diagnose import diagnose
    from ..ops.doctor.node_report import CheckRequest

    question = CheckRequest(model, transcoders, store, full_hash=full_hash)
    found = diagnose(question, prompts, ray_address, timeout_seconds, text_field)
    print_answer(found.as_dict() if json else found.describe())
    return found.exit_code


def bundle(
    out: str,
    model: str | None = None,
    transcoders: str | None = None,
    prompts: str | None = None,
    wheels: bool = True,
    python: str = this_python(),
    platform: tuple[str, ...] = (PLATFORM,),
    torch_index: str | None = None,
) -> int:
    """Collect all that a run takes into one directory, for machines without internet. Run again, it goes on.

    Args:
        out: The directory: a new or empty one, or a bundle.
        model: Hugging Face directory or hub id, `org/name[@revision]`.
        transcoders: Directory or hub id, `user/repo[/folder][@revision]`.
        prompts: Path or fsspec URL of a corpus; copied as it is.
        wheels: Collect this project and all that it needs too, in the versions installed here.
        python: Version of Python over there.
        platform: Platform tags of wheels; the default runs where glibc is 2.28 or newer.
        torch_index: Index of the build of torch to take (CPU, another CUDA); else pip's own.
    """
    from ..ops.bundle.bundle import BundleRequest, make_bundle
    from ..ops.bundle.manifest import summary

    target = Target(python, platform) if wheels else None
    wanted = BundleRequest(model, transcoders, prompts, target, torch_index)
    made = make_bundle(Path(out), wanted, lambda line: print(printable(line), file=sys.stderr, flush=True))
    print(f"{printable(out)}: {summary(made)}")
    name = Path(out).resolve().name
    print(printable(f"over there: bash {shlex.quote(f'{name}/install_offline.sh')} {shlex.quote(name)}"))
    return 0


def verify_bundle(path: Annotated[Positional[str], tyro.conf.arg(metavar="PATH")]) -> int:
    """Check every file of a bundle against its manifest.

    Args:
        path: Directory of a bundle.
    """
    from ..ops.bundle.manifest import summary, verify

    print(f"{printable(path)}: {summary(verify(Path(path)))}, all as recorded")
    return 0


def version() -> int:
    """Print the version."""
    print(__version__)
    return 0
