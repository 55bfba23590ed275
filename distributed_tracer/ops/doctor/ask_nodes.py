"""Node queries: all nodes of the connected Ray cluster are checked at once. A node that does not answer is a result
too."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ...redact import redacted
from .inspect_node import probe
from .node_report import CheckRequest, NodeReport, UnreachableNode

_CLOCK_SECONDS = 5.0
_CLOCK_CALLS = 3
_OPTIONS: dict[str, Any] = {"num_cpus": 0, "max_retries": 0}


def ask_nodes(question: CheckRequest, timeout_seconds: float) -> tuple[list[NodeReport], list[UnreachableNode]]:
    """Check all nodes that are alive for Ray, at once.

    Returns the reports, and the nodes that failed or did not answer within `timeout_seconds`.
    """
    nodes = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]  # Ray has no types here
    names = _names(nodes)
    asked = {_pinned(_check, node).remote(_question_for(node, question)): node for node in nodes}
    _, late = ray.wait(list(asked), num_returns=len(asked), timeout=timeout_seconds)
    for ref in late:
        ray.cancel(ref, force=True)
    answers, silences = [], []
    for ref, node in asked.items():
        name, address = names[node["NodeID"]], node["NodeManagerAddress"]
        found = f"no answer within {timeout_seconds:g} s" if ref in late else _received(ref)
        if isinstance(found, str):
            silences.append(UnreachableNode(name, address, found))
        else:
            answers.append(_seen_from_here(replace(found, node=name, address=address), node))
    return answers, silences


def _received(ref: Any) -> NodeReport | str:
    """Return the report of a node, or the reason why there is none."""
    try:
        return NodeReport.from_json(ray.get(ref))
    except ray.exceptions.RayError as error:
        return f"the check failed: {_last_line(error)}"
    except (TypeError, KeyError) as error:
        return f"the check there is of another version: {error}"


def _seen_from_here(answer: NodeReport, node: Mapping[str, Any]) -> NodeReport:
    ahead, give_or_take = _clock(node)
    num_gpus = node["Resources"].get("GPU", 0.0)
    return replace(answer, ray_gpus=num_gpus, clock_ahead_seconds=ahead, clock_error_seconds=give_or_take)


@ray.remote(**_OPTIONS)
def _check(question: CheckRequest) -> str:
    return replace(probe(question), token_auth=_token_auth()).to_json()


@ray.remote(**_OPTIONS)
def _time() -> float:
    return time.time()


def _clock(node: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Return by how many seconds a node's clock is ahead, and half of the round trip, which bounds the error.

    The fastest of several calls is used. Both values are None if the node does not answer.
    """
    found = []
    for _ in range(_CLOCK_CALLS):
        asked = time.time()
        try:
            there = ray.get(_pinned(_time, node).remote(), timeout=_CLOCK_SECONDS)
        except ray.exceptions.RayError:
            return None, None
        answered = time.time()
        found.append(((answered - asked) / 2, there - (asked + answered) / 2))
    give_or_take, ahead = min(found)
    return ahead, give_or_take


def _pinned(task: Any, node: Mapping[str, Any]) -> Any:
    return task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False))


def _question_for(node: Mapping[str, Any], question: CheckRequest) -> CheckRequest:
    """Return the request with the node's session folder, into which Ray spills."""
    return replace(question, temp_dir=str(Path(node["RayletSocketName"]).parents[1]))


def _token_auth() -> bool | None:
    """Whether Ray on this node requires a token; None for versions of Ray without tokens."""
    try:
        from ray._private.authentication.authentication_utils import is_token_auth_enabled
    except ImportError:
        return None
    return bool(is_token_auth_enabled())


def _names(nodes: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    hosts = Counter(node["NodeManagerHostname"] for node in nodes)
    return {
        node["NodeID"]: host if hosts[host := node["NodeManagerHostname"]] == 1 else f"{host}/{node['NodeID'][:6]}"
        for node in nodes
    }


def _last_line(error: BaseException) -> str:
    """Return the last line of an error of Ray: its messages begin with a traceback and end with the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return redacted(lines[-1] if lines else type(error).__name__)
