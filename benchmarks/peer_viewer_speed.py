"""Speed of circuit-tracer's viewer in headless Chromium, for the graphs whose speed in `serve` serve_graph.py measures.

    ENV/bin/python benchmarks/peer_viewer_speed.py --peer CHECKOUT --packages NPM/node_modules --graphs FOLDER
        [--slugs SLUG ...] [--seconds 5] [--chromium /usr/bin/chromium]

`serve_graph.py --peer CHECKOUT --packages NPM/node_modules` measures both viewers with the same random graphs.
CHECKOUT, NPM and FOLDER are those of peer_viewer.py: FOLDER is what `distributed-tracer export STORE --all --format
viewer --out FOLDER` writes. Nothing is asked of other hosts. The columns:

JSON          bytes of the graph's file
nodes, links  of the graph
first paint   seconds from the request until the nodes are in the page and a frame has been drawn
slider        frames per second while the pruning slider moves, and the longest frame in milliseconds; the graph is not
              drawn meanwhile
redraw        milliseconds for which the page stands still afterwards, when it draws the graph for the slider's value
hover         frames per second while the mouse moves over the graph, and the longest frame

The page has neither zoom nor panning of the graph. A page that does not answer within two minutes counts as failed.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peer_viewer_page import Visit, browser, copy_page, served

DRAG = """async seconds => {
  const slider = document.querySelector('.slider-container input[type=range]')
  if (!slider) return null
  const [low, high] = [+slider.min || 0, +slider.max || 1], begin = performance.now(), frames = []
  let last = begin
  while (performance.now() - begin < 1000 * seconds) {
    const phase = (performance.now() - begin) / (1000 * seconds)
    slider.value = low + (high - low) * (0.5 + 0.5 * Math.cos(6 * Math.PI * phase))
    slider.dispatchEvent(new Event('input', {bubbles: true}))
    await new Promise(requestAnimationFrame)
    frames.push(performance.now() - last)
    last = performance.now()
  }
  return [frames.length / ((last - begin) / 1000), Math.max(...frames)]
}"""
REDRAW = """async () => {
  const begin = performance.now()
  let last = begin, longest = 0, settled = begin
  while (performance.now() - settled < 3000 && performance.now() - begin < 60000) {
    await new Promise(requestAnimationFrame)
    const now = performance.now()
    longest = Math.max(longest, now - last)
    if (now - last > 100) settled = now
    last = now
  }
  return longest
}"""
HOVER = """async seconds => {
  const graph = document.querySelector('.link-graph'), at = graph.getBoundingClientRect()
  const begin = performance.now(), frames = []
  let last = begin
  while (performance.now() - begin < 1000 * seconds) {
    const phase = (performance.now() - begin) / 500
    const where = {clientX: at.left + at.width * (0.5 + 0.45 * Math.cos(phase)),
                   clientY: at.top + at.height * (0.5 + 0.45 * Math.sin(1.3 * phase)), bubbles: true}
    graph.dispatchEvent(new PointerEvent('pointermove', where))
    graph.dispatchEvent(new MouseEvent('mousemove', where))
    await new Promise(requestAnimationFrame)
    frames.push(performance.now() - last)
    last = performance.now()
  }
  return [frames.length / ((last - begin) / 1000), Math.max(...frames)]
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, required=True, help="checkout of circuit-tracer")
    parser.add_argument("--packages", type=Path, required=True, help="node_modules with d3, d3-jetpack, dagre and pako")
    parser.add_argument("--graphs", type=Path, required=True, help="folder that `export --format viewer` wrote")
    parser.add_argument("--slugs", nargs="*", help="graphs to open; default: all")
    parser.add_argument("--seconds", type=float, default=5.0, help="seconds of each movement")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    options = parser.parse_args()
    measure(options.peer, options.packages, options.graphs, options.slugs, options.seconds, options.chromium)


def measure(
    peer: Path, packages: Path, graphs: Path, wanted: Sequence[str] | None, seconds: float, chromium: str
) -> None:
    """Print a row for each graph of a folder, or for those that are wanted."""
    print(f"{'graph':<20} {'JSON MB':>8} {'nodes':>7} {'links':>9} {'first paint':>12} {'slider':>16}", end=" ")
    print(f"{'redraw':>10} {'hover':>16}")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page"
        copy_page(peer, packages, page)
        entries = json.loads((graphs / "graph-metadata.json").read_text())["graphs"]
        for slug in [entry["slug"] for entry in entries if not wanted or entry["slug"] in wanted]:
            with served(peer, graphs, None, page) as address, browser(chromium) as visit:
                print(line(slug, graphs / f"{slug}.json", visit, address, seconds), flush=True)


def line(slug: str, file: Path, visit: Visit, address: str, seconds: float) -> str:
    """Return the row of one graph."""
    document = json.loads(file.read_text())
    row = f"{slug:<20.20} {file.stat().st_size / 1e6:8.1f} {len(document['nodes']):7,} {len(document['links']):9,}"
    visit.page.set_default_timeout(120_000)
    begin = time.perf_counter()
    try:
        visit.page.goto(f"{address}?slug={slug}")
        visit.page.wait_for_selector(".link-graph text.node", state="attached")
        visit.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        paint = f"{time.perf_counter() - begin:10.2f} s"
        visit.page.evaluate(REDRAW)  # the page goes on drawing for a while
        slider = frames(visit.page.evaluate(DRAG, seconds))
        redraw = f"{visit.page.evaluate(REDRAW):7.0f} ms"
        return f"{row} {paint} {slider} {redraw} {frames(visit.page.evaluate(HOVER, seconds))}"
    except Exception as error:  # a page that crashed or hangs is a result
        return f"{row}   failed after {time.perf_counter() - begin:.0f} s: {str(error).splitlines()[0][:60]}"


def frames(found: Any) -> str:
    """Return frames per second and the longest frame."""
    return f"{'none':>16}" if found is None else f"{found[0]:5.1f}/s {found[1]:5.0f} ms"


if __name__ == "__main__":
    main()
