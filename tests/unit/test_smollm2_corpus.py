"""The corpus of examples/smollm2: every prompt once, with the facts that mining splits prompts by."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

PROGRAM = Path(__file__).parents[2] / "examples" / "smollm2" / "corpus.py"


def written(path: Path) -> bytes:
    subprocess.run([sys.executable, str(PROGRAM), str(path)], check=True, capture_output=True)
    return path.read_bytes()


def test_prompts_are_the_same_each_time_and_occur_once(tmp_path: Path) -> None:
    first = written(tmp_path / "a" / "corpus.jsonl")
    assert written(tmp_path / "b.jsonl") == first
    prompts = [json.loads(line) for line in first.splitlines()]
    assert len(prompts) >= 2_000
    assert len({one["id"] for one in prompts}) == len({one["text"] for one in prompts}) == len(prompts)
    by_id = {one["id"]: one for one in prompts}
    assert by_id["capital-fiji-french"]["text"] == "La capitale des Fidji est"
    assert by_id["capital-austria-french"]["text"] == "La capitale de l'Autriche est"
    assert by_id["agreement-child-plural-many"]["text"] == "The children near the schools"
    assert by_id["past-teach-of"]["answer"] == "taught"
    assert by_id["sum-3+4-plus"]["answer"] == " 7"


def test_every_family_has_clusters_enough_for_two_halves(tmp_path: Path) -> None:
    prompts = [json.loads(line) for line in written(tmp_path / "corpus.jsonl").splitlines()]
    families = {one["family"] for one in prompts}
    clusters = Counter(family for family, _ in {(one["family"], one["subject"]) for one in prompts})
    assert min(clusters[family] for family in families - {"sequence"}) >= 30
    assert clusters["sequence"] == 7
