"""Commands that prepare a cluster (doctor, bundle, verify-bundle), and version."""

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
    """Check every node of a cluster, or this machine, before a run. The exit code is 1 if a run should not start yet.

    Args:
        ray_address: Address of a running Ray cluster, or `auto`; the environment variable RAY_ADDRESS counts too.
            Without an address, only this machine is checked.
        model: Directory or hub id of a model that must be present, complete, and the same on all nodes.
        transcoders: Directory or hub id of transcoders that must be present, complete, and the same on all nodes.
        store: Directory or URL of a store that all nodes must be able to write to. A small object is created in it and
            removed.
        prompts: Path or URL of a corpus that must be readable.
        text_field: Column or field of the corpus that holds the text of a prompt.
        full_hash: Whether to compare all bytes of files. Otherwise files of more than 64 MiB are compared by samples of
            every tensor.
        timeout_seconds: Number of seconds to wait for the nodes' answers.
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
    """Collect everything that a run needs in one directory, for machines without internet.

    After an interruption, the same command goes on.

    Args:
        out: Directory for the bundle: a new or empty one, or an earlier bundle to complete or to change.
        model: Language model: a Hugging Face directory or a hub id, `org/name[@revision]`.
        transcoders: Set of transcoders: a directory or a hub id, `user/repo[/folder][@revision]`.
        prompts: Path or fsspec URL of a corpus, which is copied as it is.
        wheels: Whether to collect wheels of this project and of its dependencies, in the versions installed here.
        python: Version of Python on the machines without internet.
        platform: Platform tags of the wheels; the default works with glibc 2.28 or newer.
        torch_index: URL of the package index for torch, which decides its build (CPU, another CUDA). The default is the
            index that pip uses.
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
