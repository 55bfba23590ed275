"""The file that holds every figure measured while the demo is made."""

from __future__ import annotations

import json
from typing import Any

from .paths import CORPUS_FILE, MODEL_DIR, REPORT_FILE, TRANSCODER_DIR

Json = dict[str, Any]
TRANSCODERS = ("plt", "clt", "plt-seed1")
"""Names of the sets of transcoders."""


def update_report(section: str, results: Json) -> None:
    """Replace one section of the report and bring its sizes up to date."""
    report = json.loads(REPORT_FILE.read_text(encoding="utf-8")) if REPORT_FILE.exists() else {}
    report[section] = results
    folders = {"model": MODEL_DIR, **{name: TRANSCODER_DIR / name for name in TRANSCODERS}}
    sizes = {name: sum(f.stat().st_size for f in path.glob("*")) for name, path in folders.items()}
    sizes["corpus"] = CORPUS_FILE.stat().st_size if CORPUS_FILE.exists() else 0
    report["bytes"] = sizes | {"total": sum(sizes.values())}
    ordered = {name: report[name] for name in ("model", *TRANSCODERS, "corpus", "bytes") if name in report}
    REPORT_FILE.write_text(json.dumps(ordered, indent=2) + "\n", encoding="utf-8")
