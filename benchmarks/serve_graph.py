"""The graph page of `serve` in headless Chromium, with random graphs of several sizes.

    python benchmarks/serve_graph.py [--store FOLDER] [--only 3000x100000 ...] [--json out.json]
        [--chromium /usr/bin/chromium] [--width 1440] [--height 900] [--peer CHECKOUT --packages NPM/node_modules]

Each graph is opened in a fresh page, which is moved and whose sliders are dragged as a reader would, one step a frame.
The columns of the table are: bytes of the reply before and after compression, beside those of the same graph as the
JSON of `export --format viewer`; seconds from the request of the page to its first painting of nodes, of a graph that
the server has in memory (the file of `--json` has those of one that it has not, too); the middle and the 95th
percentile of the milliseconds between frames while the slider of influence is dragged, that of edges, while the drawing
is moved, and while it is zoomed; in brackets the milliseconds of a processor that the page's thread takes for such a
frame, which do not depend on what else the machine does. Chromium runs without a GPU: every pixel is painted by the
processor. With `--peer` and `--packages`, which peer_viewer.py describes, the same graphs are then exported with
`export --all --format viewer` and opened by circuit-tracer's viewer: a second table, which peer_viewer_speed.py
explains.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
import tempfile
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

from peer_viewer_speed import measure as peer_speed  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402
from random_stores import write_part  # noqa: E402
from serving import Server, served  # noqa: E402
from synthetic_graphs import Corpus  # noqa: E402

from distributed_tracer import open_store  # noqa: E402
from distributed_tracer.cli.main import main as main_of_program  # noqa: E402
from distributed_tracer.export.formats import export_graph  # noqa: E402
from distributed_tracer.store.ledger import Ledger  # noqa: E402

SIZES = ((500, 10_000), (3_000, 100_000), (3_000, 1_000_000), (10_000, 100_000), (10_000, 1_000_000))
"""Nodes and edges of the graphs."""
STEPS = 60
"""Frames of each movement."""
MOVEMENTS = ("share", "edges", "pan", "zoom")
RUN_INFO = {"identity": {"model": "random", "trace": {}}, "versions": {}}

FRAMES = """
async ([what, steps]) => {
  const surface = document.querySelector(".surface"), box = surface.getBoundingClientRect();
  const sliders = document.querySelectorAll(".controls .slider input");
  const point = (kind, x, y) => surface.dispatchEvent(new PointerEvent(kind, { pointerId: 1, button: 0, bubbles: true,
    clientX: box.left + x, clientY: box.top + y }));
  surface.setPointerCapture = () => {};
  const slide = (slider, value) => {
    slider.value = String(value);
    slider.dispatchEvent(new Event("input", { bubbles: true }));
  };
  const frame = () => new Promise(requestAnimationFrame);
  const begin = { share: Number(sliders[0].value), edges: Number(sliders[1].value) };
  if (what === "pan") point("pointerdown", 600, 300);
  const times = [];
  let before = await frame();
  for (let step = 1; step <= steps; step++) {
    const there = Math.sin((step / steps) * Math.PI);
    if (what === "share") slide(sliders[0], begin.share + (1000 - begin.share) * there);
    if (what === "edges") slide(sliders[1], begin.edges + (1000 - begin.edges) * there);
    if (what === "pan") point("pointermove", 600 + 200 * there, 300 + 90 * there);
    if (what === "zoom") surface.dispatchEvent(new WheelEvent("wheel", { deltaY: step < steps / 2 ? -30 : 30,
      clientX: box.left + 500, clientY: box.top + 250, cancelable: true }));
    const now = await frame();
    times.push(now - before);
    before = now;
  }
  if (what === "pan") point("pointerup", 600, 300);
  return times;
}
"""


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, help="folder for the store of random graphs, kept for another run")
    parser.add_argument("--only", nargs="*", help="sizes, as in 3000x100000")
    parser.add_argument("--json", type=Path, help="file for all figures")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--width", type=int, default=1440)
    parser.add_argument("--height", type=int, default=900)
    parser.add_argument("--peer", type=Path, help="checkout of circuit-tracer, whose viewer is measured, too")
    parser.add_argument("--packages", type=Path, help="node_modules with the libraries of that viewer")
    options = parser.parse_args()
    if (options.peer is None) != (options.packages is None):
        parser.error("--peer and --packages belong together")
    sizes = [size for size in SIZES if not options.only or f"{size[0]}x{size[1]}" in options.only]
    with tempfile.TemporaryDirectory() as folder:
        store = options.store or Path(folder) / "store"
        if not (store / "run.json").exists():
            make_store(store)
        with served(store, "--read-only") as server, sync_playwright() as playwright:
            arguments = ["--no-sandbox", "--disable-gpu"]
            browser = playwright.chromium.launch(executable_path=options.chromium, args=arguments)
            found = [measured(options, store, server, browser, *size) for size in sizes]
            browser.close()
        print(table(found), flush=True)
        if options.peer:
            graphs = Path(folder) / "exported"
            if main_of_program(["export", str(store), "--all", "--format", "viewer", "--out", str(graphs)]):
                raise SystemExit("the graphs could not be exported")
            peer_speed(
                options.peer, options.packages, graphs, [name_of(*size) for size in sizes], 5.0, options.chromium
            )
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))


def name_of(nodes: int, edges: int) -> str:
    """Return the id of the graph of a size."""
    return f"{nodes}x{edges}"


def make_store(folder: Path) -> None:
    """Write a store with one graph of each size."""
    ledger = Ledger(str(folder))
    ledger.create_or_check(RUN_INFO)
    for nodes, edges in SIZES:
        corpus = Corpus(nodes=float(nodes), edges=edges / 0.9, spread=0.0, active_per_site=40)
        ledger.commit(write_part(str(folder), [replace(corpus.graph(0), prompt_id=name_of(nodes, edges))]))


def measured(
    options: argparse.Namespace, store: Path, server: Server, browser: Any, nodes: int, edges: int
) -> dict[str, Any]:
    """Return the figures of one graph."""
    prompt = name_of(nodes, edges)
    result: dict[str, Any] = {"graph": prompt, **sizes_of(store, server, prompt)}
    for kind in ("cold", "warm"):  # the server has the graph in memory from the first page on
        pages = browser.new_context(viewport={"width": options.width, "height": options.height})
        shown = pages.new_page()
        shown.goto(f"{server.root}enter?token={server.token}&next=about")
        shown.wait_for_selector("header.top nav")
        shown.goto(f"{server.root}graph?prompt={prompt}")
        shown.wait_for_selector(".surface[data-ready]", timeout=120_000)
        entry = "() => performance.now()"
        result[f"{kind}_seconds"] = shown.evaluate(entry) / 1000
        if kind == "cold":
            pages.close()
    shown.wait_for_timeout(500)
    session = pages.new_cdp_session(shown)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    for what in MOVEMENTS:
        before = thread_seconds(session)
        times = shown.evaluate(FRAMES, [what, STEPS])
        result[what] = {
            "median": float(np.median(times)),
            "p95": float(np.percentile(times, 95)),
            "thread": 1000 * (thread_seconds(session) - before) / STEPS,
        }
        shown.wait_for_timeout(900)  # until the view has settled
    pages.close()
    print(json.dumps(result), file=sys.stderr, flush=True)
    return result


def thread_seconds(session: Any) -> float:
    """Return the seconds of a processor that the page's thread has taken for all of its tasks."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))


def sizes_of(store: Path, server: Server, prompt: str) -> dict[str, int]:
    """Return bytes of the page's data and of the file that other viewers read."""
    asked = urllib.request.Request(f"{server.root}api/v1/graph?prompt={prompt}")
    asked.add_header("Authorization", f"Bearer {server.token}")
    with urllib.request.urlopen(asked, timeout=300) as answer:
        plain = len(answer.read())
    asked.add_header("Accept-Encoding", "gzip")
    with urllib.request.urlopen(asked, timeout=300) as answer:
        packed = len(answer.read())
    opened = open_store(str(store))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "graph.json"
        export_graph(opened.graph(prompt), file, "viewer", context=opened.context(prompt))
        text = file.read_bytes()
    return {"bytes": plain, "packed": packed, "viewer": len(text), "viewer_packed": len(gzip.compress(text, 1))}


def table(found: list[dict[str, Any]]) -> str:
    """Return the figures as a table in Markdown."""
    movements = "".join(f" {what}, ms |" for what in MOVEMENTS)
    lines = [
        f"| graph | MB (packed) | viewer's JSON, MB (packed) | first painting, s |{movements}",
        "|---|---|---|---|" + "---|" * len(MOVEMENTS),
    ]
    for one in found:
        cells = [
            one["graph"],
            f"{one['bytes'] / 1e6:.1f} ({one['packed'] / 1e6:.1f})",
            f"{one['viewer'] / 1e6:.1f} ({one['viewer_packed'] / 1e6:.1f})",
            f"{one['warm_seconds']:.2f}",
            *("{median:.0f} / {p95:.0f} ({thread:.0f})".format(**one[what]) for what in MOVEMENTS),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    machine = f"{os.cpu_count()} processors: {processor()}"
    return "\n".join([*lines, f"{machine}; milliseconds between frames: middle / 95th percentile (thread)"])


def processor() -> str:
    """Return the name of the processor, as far as the system says it."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


if __name__ == "__main__":
    main()
