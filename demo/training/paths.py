"""Where the demo's files lie."""

from pathlib import Path

DEMO = Path(__file__).resolve().parents[1]
FACTS_FILE = DEMO / "facts.json"
MODEL_DIR = DEMO / "model"
TRANSCODER_DIR = DEMO / "transcoders"
CORPUS_FILE = DEMO / "corpus.jsonl"
REPORT_FILE = DEMO / "report.json"
