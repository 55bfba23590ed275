"""circuit-tracer's page, its server, and the browser of peer_viewer.py; and what is asked of the page there."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

LIBRARIES = {
    "d3.js": ["d3/dist/d3.min.js", "d3-collection/dist/d3-collection.js", "d3-jetpack/build/d3-jetpack.cjs"],
    "dagre.min.js": ["dagre/dist/dagre.min.js"],
    "pako.min.js": ["pako/dist/pako.min.js"],
}
"""Which files of the packages stand for each library of the page; those of d3 after the first one extend it."""
_EXTENSION = "{{const exports = d3, module = {{exports}}, require = () => d3;\n{}\n}}\n"
_JETPACK = """{
  const {conventions, drawAxis} = d3
  d3.nestBy = (array, key) => [...d3.group(array, key)].map(([key, values]) => Object.assign(values, {key}))
  d3.conventions = options => {
    const c = conventions(options)
    c.drawAxis = svg => drawAxis({...c, svg, xAxis: c.xAxis, yAxis: c.yAxis})
    return c
  }
}
"""
"""What the page expects of d3-jetpack and the published package lacks: groups by objects, and axes on any layer."""
_REMOTE = re.compile(r"<script src='https?://[^']*/([^/']+)'></script>")

RECORD_LINES = """(() => {
  const canvas = CanvasRenderingContext2D.prototype, {clearRect, moveTo, lineTo} = canvas
  canvas.clearRect = function(...at) { this.lines = []; return clearRect.apply(this, at) }
  canvas.moveTo = function(...at) { this.start = at; return moveTo.apply(this, at) }
  canvas.lineTo = function(...at) { (this.lines ??= []).push([...this.start, ...at]); return lineTo.apply(this, at) }
})()"""
"""Remembers the lines that are on each canvas."""

CLICK_ALL = """async () => {
  const graph = document.querySelector('.link-graph'), nodes = [...graph.querySelectorAll('text.node')]
  const data = nodes.map(element => d3.select(element).datum())
  const spots = nodes.map(element => element.getScreenCTM()).map(({e, f}) => [e, f])
  const canvas = [...graph.querySelectorAll('canvas')].at(-1).getContext('2d')
  const clicked = () => graph.querySelector('text.node.clicked')
  const found = []
  for (const [number, datum] of data.entries()) {
    const [clientX, clientY] = spots[number]
    const click = () => graph.dispatchEvent(new PointerEvent('click', {clientX, clientY, bubbles: true}))
    click()
    if (!clicked()) click()  // a click on what is clicked already takes that back
    const element = clicked()
    found.push([datum.nodeId, element && d3.select(element).datum().nodeId, canvas.lines])
    await new Promise(done => setTimeout(done, 5))
  }
  return {nodes: data.map(datum => [datum.nodeId, ...datum.pos]), clicks: found}
}"""
"""Clicks every node, and returns where each is, and per click which node is clicked and the lines drawn."""

SPOTS = """() => [...document.querySelectorAll('.link-graph text.node')].map(element => {
  const {e, f} = element.getScreenCTM(), datum = d3.select(element).datum()
  return [datum.nodeId, datum.feature_type, datum.feature, e, f]
})"""

PANEL = """() => {
  const panel = document.querySelector('.feature-detail'), all = (what, on = panel) => [...on.querySelectorAll(what)]
  const tokens = example => all('span.token', example).map(token => [token.textContent, token.style.background !== ''])
  const rows = all('.feature-example-logits .ctx-container').map(row => all('.token', row).map(one => one.textContent))
  return {
    title: panel.querySelector('.feature-title')?.textContent ?? '',
    label: panel.querySelector('.pp-clerp')?.textContent ?? '',
    examples: all('.feature-example-list .ctx-container').map(tokens),
    rows,
    bars: all('.histogram-placeholder rect.bar').length,
  }
}"""

GROUPS = """() => [...document.querySelectorAll('.subgraph .supernode-container')].map(element => {
  const {node} = d3.select(element).datum(), name = element.querySelector('.node-text-container span').textContent
  return [node.isSuperNode ? name : null, node.memberNodes.map(member => member.nodeId)]
})"""


def copy_page(peer: Path, packages: Path, page: Path) -> None:
    """Copy the viewer's page, and let it take its libraries from the packages; a library that has none is left out."""
    shutil.copytree(peer / "circuit_tracer/frontend/assets", page)
    (page / "libraries").mkdir()
    for name, (first, *more) in LIBRARIES.items():
        text = (packages / first).read_text() + "\n"
        text += "".join(_EXTENSION.format((packages / path).read_text()) for path in more)
        (page / "libraries" / name).write_text(text + (_JETPACK if more else ""))
    (page / "favicon.ico").touch()  # browsers ask for it, and the page has none
    index = page / "index.html"
    index.write_text(_REMOTE.sub(local_script, index.read_text()))


def local_script(found: re.Match[str]) -> str:
    return f"<script src='./libraries/{found[1]}'></script>" if found[1] in LIBRARIES else ""


@contextmanager
def served(peer: Path, graphs: Path, packed: Path | None, page: Path) -> Iterator[str]:
    """Start the peer's server and yield its address. The package itself, which needs torch, is not executed."""
    spec = importlib.machinery.PathFinder.find_spec("circuit_tracer", [str(peer)])
    if spec is None:
        raise SystemExit(f"{peer} has no circuit_tracer")
    sys.modules["circuit_tracer"] = importlib.util.module_from_spec(spec)
    serve = import_module("circuit_tracer.frontend.local_server").serve
    features = str(packed.resolve() / "features") if packed else None
    server = serve(str(graphs.resolve()), frontend_dir=str(page), features_dir=features, port=0)
    try:
        yield f"http://127.0.0.1:{server.httpd.server_address[1]}/index.html"
    finally:
        server.stop()


class Visit:
    """A page of the browser, with the requests and errors since the last `open`."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.requests: list[str] = []
        self.errors: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda line: self.errors.append(line.text) if line.type == "error" else None)

    def open(self, address: str) -> None:
        self.requests.clear()
        self.errors.clear()
        self.page.goto(address)
        self.page.wait_for_selector(".link-graph text.node", state="attached", timeout=60_000)
        self.page.wait_for_load_state("networkidle")

    def elsewhere(self) -> list[str]:
        return [url for url in self.requests if not url.startswith(("http://127.0.0.1:", "data:"))]


@contextmanager
def browser(program: str) -> Iterator[Visit]:
    from playwright.sync_api import sync_playwright

    rules = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", rules])
        page = started.new_page(viewport={"width": 1500, "height": 1000})
        page.add_init_script(RECORD_LINES)
        yield Visit(page)
        started.close()
