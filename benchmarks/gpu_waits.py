"""Where the host waits for the GPU, and how busy the GPU is, during one pruned graph of 1,024 feature nodes.

    python benchmarks/gpu_waits.py --shape gemma-2-2b --tokens 64

Prints every host wait by line of code, the share of the graph's time in which kernels ran, the longest kernels and the
host's most expensive operations. On a CPU it prints the operations only.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections import Counter
from pathlib import Path

import torch
from attribution import wait
from prose import prompt_tokens
from shapes import SHAPES, shaped_model, shaped_transcoders
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from distributed_tracer import TraceConfig
from distributed_tracer.trace.attribute import attribute_dense


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=sorted(SHAPES), default="gemma-2-2b")
    parser.add_argument("--features", type=int, default=16384, help="per layer")
    parser.add_argument("--active", type=float, default=75, help="features that fire per token and layer")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--sweep-dtype", default="bfloat16")
    args = parser.parse_args()
    model = shaped_model(SHAPES[args.shape], args.device)
    transcoders = shaped_transcoders(model, SHAPES[args.shape], args.features, args.active)
    tokens, device = prompt_tokens(model.tokenizer, args.tokens), model.input_device
    config = TraceConfig(max_feature_nodes=1024, sweep_dtype=args.sweep_dtype)

    def pruned() -> None:
        dense = attribute_dense(tokens, model, transcoders, config)
        dense.pruned(config.node_threshold, config.edge_threshold)

    def graph() -> float:
        wait(device)
        started = time.perf_counter()
        pruned()
        wait(device)
        return time.perf_counter() - started

    graph()
    if device.type == "cuda":
        torch.cuda.set_sync_debug_mode("warn")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            pruned()
        torch.cuda.set_sync_debug_mode("default")
        waits = Counter(_line(w.filename, w.lineno) for w in caught if "synchroniz" in str(w.message))
        print(f"{waits.total()} host waits: " + ", ".join(f"{line} {n}" for line, n in waits.most_common()))
    seconds = min(graph() for _ in range(2))
    with profile(activities=[ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * (device.type == "cuda")]) as seen:
        graph()
    found = seen.key_averages()
    kernels = sorted((e for e in found if e.device_type == DeviceType.CUDA), key=lambda e: -e.self_device_time_total)
    busy = sum(e.self_device_time_total for e in kernels) / 1e6
    print(
        f"{seconds:.3f} s a graph; {sum(e.count for e in kernels):,} kernels ran for {busy:.3f} s: {busy / seconds:.0%}"
    )
    for e in kernels[:20]:
        print(f"  device {e.self_device_time_total / 1e3:9.2f} ms {e.count:>7,} x {e.key[:90]}")
    for e in sorted(found, key=lambda e: -e.self_cpu_time_total)[:16]:
        print(f"  host   {e.self_cpu_time_total / 1e3:9.2f} ms {e.count:>7,} x {e.key[:90]}")


def _line(filename: str, number: int) -> str:
    return "/".join(Path(filename).parts[-2:]) + f":{number}"


if __name__ == "__main__":
    main()
