"""Files for circuit-tracer's viewer, opened by that viewer in headless Chromium without a network.

    ENV/bin/python benchmarks/peer_viewer.py --peer CHECKOUT --packages NPM/node_modules --graphs FOLDER
        [--features FOLDER ...] [--packed FOLDER] [--look SLUG ...] [--address QUERY ...] [--pictures FOLDER]
        [--chromium /usr/bin/chromium] [--json out.json]

CHECKOUT is a checkout of circuit-tracer; its page and its server are used as they are, nothing else of it. The page
asks other hosts for its libraries: in a copy of index.html they come from the npm packages d3 7, d3-jetpack 2.3 (with
d3-collection), dagre 0.8.5 and pako 2.1. ENV has playwright. FOLDER is what these commands write:

    distributed-tracer export STORE --all --format viewer --out FOLDER
    distributed-tracer export-features PROFILE --out FOLDER     # the name that the graphs' scan has
    distributed-tracer export-features PROFILE --out FOLDER --packed

Every graph is opened and every node of it clicked, and the lines that the page then draws are compared with the edges
of the file. In the graphs of `--look`, the mouse is put on every feature, and what the page shows of it is compared
with its label and its feature file: examples with their tokens and which of them are coloured, promoted tokens, the
number of bars of the histogram, frequency. `--address` is what `export` prints for groups and pins: the page at it must
show those of the file. Requests to hosts other than this machine are refused and counted. The exit code is 1 if
anything differs.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import struct
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from peer_viewer_page import CLICK_ALL, GROUPS, PANEL, SPOTS, Visit, browser, copy_page, served

_COLUMNS = ("graph", "nodes", "nodes_drawn", "links", "links_drawn", "features", "features_shown", "errors")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, required=True, help="checkout of circuit-tracer")
    parser.add_argument("--packages", type=Path, required=True, help="node_modules with d3, d3-jetpack, dagre and pako")
    parser.add_argument("--graphs", type=Path, required=True, help="folder that `export --format viewer` wrote")
    parser.add_argument("--features", type=Path, nargs="*", default=[], help="folders of plain feature files")
    parser.add_argument("--packed", type=Path, help="folder of packed feature files")
    parser.add_argument("--look", nargs="*", default=[], help="slugs of graphs whose features are looked at")
    parser.add_argument("--address", nargs="*", default=[], help="addresses that `export` printed, from ? on")
    parser.add_argument("--pictures", type=Path, help="folder for pictures of the pages")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page"
        copy_page(options.peer, options.packages, page)
        for features in options.features:
            (page / features.name).symlink_to(features.resolve())
        with served(options.peer, options.graphs, options.packed, page) as address, browser(options.chromium) as visit:
            results = list(check_all(options, address, visit))
    print(table(results))
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))
    sys.exit(any(map(differs, results)))


def check_all(options: argparse.Namespace, address: str, visit: Visit) -> Iterator[dict[str, Any]]:
    """Yield what was found for each graph, and for each address."""
    for entry in json.loads((options.graphs / "graph-metadata.json").read_text())["graphs"]:
        slug = entry["slug"]
        document = json.loads((options.graphs / f"{slug}.json").read_text())
        visit.open(f"{address}?slug={slug}")
        result = {"graph": slug, **compared(document, visit.page.evaluate(CLICK_ALL))}
        if slug in options.look:
            result |= look(options, document, visit, slug)
        yield result | finished(visit)
        print(json.dumps({name: value for name, value in result.items() if value}), file=sys.stderr, flush=True)
    for query in options.address:
        visit.open(address + query)
        found = re.search(r"[?&]slug=([^&]+)", query)
        document = json.loads((options.graphs / f"{found[1] if found else ''}.json").read_text())
        saved = same_groups(document["qParams"], visit.page.evaluate(GROUPS))
        picture(options, visit, f"groups-{document['metadata']['slug']}")
        yield {"graph": f"groups of {document['metadata']['slug']}", "groups_differ": saved, **finished(visit)}


def finished(visit: Visit) -> dict[str, Any]:
    return {"requests": len(visit.requests), "elsewhere": visit.elsewhere(), "errors": list(visit.errors)}


def compared(document: dict[str, Any], page: dict[str, Any]) -> dict[str, Any]:
    """Return how much of a file was drawn: the nodes, and the edges among the lines of the clicks."""
    place = {name: (x, y) for name, x, y in page["nodes"]}
    names = {node["node_id"] for node in document["nodes"]}
    links = [(link["source"], link["target"]) for link in document["links"]]
    drawn, wrong = set(), []
    for name, clicked, lines in page["clicks"]:
        own = [link for link in links if clicked in link]
        wanted = Counter((*place[source], *place[target]) for source, target in own if {source, target} <= place.keys())
        if clicked not in place or place[clicked] != place.get(name) or Counter(map(tuple, lines)) != wanted:
            wrong.append(name)
        else:
            drawn.update(own)
    return {
        "nodes": len(names),
        "nodes_drawn": len(names & place.keys()),
        "links": len(links),
        "links_drawn": len(drawn),
        "too_many": sorted(place.keys() - names),
        "wrong_clicks": wrong,
    }


def look(options: argparse.Namespace, document: dict[str, Any], visit: Visit, slug: str) -> dict[str, Any]:
    """Put the mouse on every feature of the page, and compare what it shows with the feature file."""
    visit.page.reload()
    visit.page.wait_for_selector(".link-graph text.node", state="attached")
    scan, differ, shown = document["metadata"]["scan"], [], 0
    labels = {node["node_id"]: node["clerp"] for node in document["nodes"]}
    for node_id, kind, number, x, y in visit.page.evaluate(SPOTS):
        if kind != "cross layer transcoder":
            continue
        visit.page.mouse.move(x, y)
        try:
            record = feature_record(options, scan, number)
        except OSError as error:
            differ.append([node_id, f"no feature file: {error.strerror}"])
            continue
        problem, panel = "", {}
        for _ in range(40):  # the page loads the file and waits up to 200 ms before it shows it
            visit.page.wait_for_timeout(50)
            panel = visit.page.evaluate(PANEL)
            problem = panel_differs(panel, record, labels[node_id])
            if not problem:
                break
        shown += not problem
        if problem:
            differ.append([node_id, problem])
        if shown == 1 or number == max(node["feature"] for node in document["nodes"]):
            picture(options, visit, f"{slug}-{node_id}")
    return {"features": shown + len(differ), "features_shown": shown, "features_differ": differ}


def feature_record(options: argparse.Namespace, scan: str, number: int) -> dict[str, Any]:
    """Return what the feature files say of a feature, which viewers name by the Cantor pairing of layer and index."""
    if scan.startswith("./"):
        path = next(folder for folder in options.features if folder.name == scan[2:]) / f"{number}.json"
        plain: dict[str, Any] = json.loads(path.read_text())
        return plain
    layer, index = unpaired(number)
    folder = options.packed / "features"
    entry = json.loads(gzip.decompress((folder / "index.json.gz").read_bytes()))[str(layer)]
    with (folder / entry["filename"]).open("rb") as file:
        file.seek(entry["offsets"][index])
        (size,) = struct.unpack("<I", file.read(4))
        packed: dict[str, Any] = json.loads(zlib.decompress(file.read(size)))
    return packed


def unpaired(number: int) -> tuple[int, int]:
    """Return the layer and the index of which a number is the Cantor pairing."""
    diagonal = 0
    while (diagonal + 1) * (diagonal + 2) // 2 <= number:
        diagonal += 1
    index = number - diagonal * (diagonal + 1) // 2
    return diagonal - index, index


def panel_differs(panel: dict[str, Any], record: dict[str, Any], label: str) -> str:
    """Return in what a shown feature differs from its file and its label; empty if it does not.

    The page joins neighbouring tokens of the same activation, so texts are compared whole, and of the colours the text
    that has one.
    """
    examples = [example for group in record["examples_quantiles"] for example in group["examples"]]
    wanted = [
        [(token, act != 0) for token, act in zip(e["tokens"], e["tokens_acts_list"], strict=True)] for e in examples
    ]
    whole = [["".join(text for text, _ in example) for example in side] for side in (panel["examples"], wanted)]
    coloured = [
        ["".join(text for text, on in example if on) for example in side] for side in (panel["examples"], wanted)
    ]
    rows = [row for row in (record["top_logits"], record["bottom_logits"]) if row]
    checks = {
        "label": panel["label"] == label,
        "examples": len(examples) == len(panel["examples"]),
        "texts": whole[0] == whole[1],
        "colours": coloured[0] == coloured[1],
        "promoted tokens": panel["rows"] == rows,
        "histogram": panel["bars"] == len(record["histogram"]),
        "frequency": f"Freq: {record['activation_frequency'] * 100:.3f}%" in panel["title"],
    }
    return ", ".join(name for name, same in checks.items() if not same)


def same_groups(saved: dict[str, Any], shown: list[Any]) -> list[str]:
    """Return in what the groups and pins of a page differ from those of a file.

    An address has ‹ where `<` would begin an HTML tag that can do something, so both count as the same.
    """
    groups = Counter((name.replace("<", "‹"), frozenset(members)) for name, members in shown if name is not None)
    wanted = Counter((name.replace("<", "‹"), frozenset(members)) for name, *members in saved["supernodes"])
    pins = {member for _, members in shown for member in members}
    differ = [f"group {name}" for name, _ in (groups - wanted) + (wanted - groups)]
    return differ + [f"pin {name}" for name in sorted(pins ^ set(saved["pinnedIds"]))]


def picture(options: argparse.Namespace, visit: Visit, name: str) -> None:
    if options.pictures:
        options.pictures.mkdir(parents=True, exist_ok=True)
        visit.page.screenshot(path=str(options.pictures / f"{name}.png"))


def differs(result: dict[str, Any]) -> bool:
    """Whether anything was missing, different or asked of another host, or the page had errors."""
    counts = (("nodes", "nodes_drawn"), ("links", "links_drawn"), ("features", "features_shown"))
    lists = ("too_many", "wrong_clicks", "features_differ", "groups_differ", "elsewhere", "errors")
    return any(result.get(one) != result.get(other) for one, other in counts) or any(map(result.get, lists))


def table(results: list[dict[str, Any]]) -> str:
    """Return the results as Markdown."""
    lines = [f"| {' | '.join(_COLUMNS)} |", f"|{'---|' * len(_COLUMNS)}"]
    for result in results:
        values = [result.get(name, "") for name in _COLUMNS]
        lines.append(f"| {' | '.join(str(len(v) if isinstance(v, list) else v) for v in values)} |")
    total = sum(result["requests"] for result in results)
    elsewhere = sum(len(result["elsewhere"]) for result in results)
    return "\n".join([*lines, "", f"{total:,} requests, {elsewhere:,} to other hosts"])


if __name__ == "__main__":
    main()
