"""Files of labels in every format: what is a label, what is a bad row, what is refused whole."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from distributed_tracer.errors import ConfigError, CorpusError
from distributed_tracer.graph.labels import Label
from distributed_tracer.labels import label_file
from distributed_tracer.labels.label_file import LONGEST_TEXT, read_label_file

ROWS = [(0, 7, Label("says ' Austin'", "me")), (2, 1, Label('a, b\n"c" é 北京 \x1b[31m', "file; 1"))]


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def jsonl(path: Path, *rows: dict[str, Any]) -> str:
    return write(path, "".join(json.dumps(row) + "\n" for row in rows))


def csv_of(delimiter: str) -> str:
    cells = [["layer", "index", "text", "source"]]
    cells += [[str(layer), str(feature), label.text, label.source] for layer, feature, label in ROWS]
    quoted = (delimiter.join('"' + cell.replace('"', '""') + '"' for cell in row) for row in cells)
    return "\ufeff" + "\r\n".join(quoted)


def test_every_format_says_the_same(tmp_path: Path) -> None:
    as_objects = [
        {"layer": layer, "feature": feature, "label": label.text, "source": label.source}
        for layer, feature, label in ROWS
    ]
    table = pyarrow.table({name: [row[name] for row in as_objects] for name in as_objects[0]})
    parquet.write_table(table, tmp_path / "l.parquet")
    (tmp_path / "l.jsonl.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, as_objects)).encode()))
    paths = [
        str(tmp_path / "l.parquet"),
        str(tmp_path / "l.jsonl.gz"),
        jsonl(tmp_path / "l.ndjson", *as_objects),
        write(tmp_path / "l.csv", csv_of(",")),
        write(tmp_path / "l.tsv", csv_of("\t")),
    ]
    for path in paths:
        found = read_label_file(path)
        assert (found.rows, found.bad) == (ROWS, []), path
    assert read_label_file(jsonl(tmp_path / "l.data", *as_objects), format="jsonl").rows == ROWS


def test_explanations_of_neuronpedia_are_read_as_they_are(tmp_path: Path) -> None:
    common = {"modelId": "gemma-2-2b", "typeName": "oai_token-act-pair", "explanationModelName": "gpt-4o-mini"}
    rows = [
        {**common, "layer": "12-gemmascope-transcoder-16k", "index": "330", "description": "Texas", "embedding": [0.1]},
        {**common, "layer": "5-transcoder-hp", "index": "3", "description": " capitals ", "scoreV1": None},
        {"layer": "5-transcoder-hp", "index": 4, "description": "by nobody known"},
    ]
    path = jsonl(tmp_path / "batch-0.jsonl", *rows)
    found = read_label_file(path)
    assert found.rows == [
        (12, 330, Label("Texas", "gpt-4o-mini oai_token-act-pair")),
        (5, 3, Label(" capitals ", "gpt-4o-mini oai_token-act-pair")),
        (5, 4, Label("by nobody known", path)),
    ]
    assert found.source_sets == {12: "12-gemmascope-transcoder-16k", 5: "5-transcoder-hp"}
    assert list(found.models) == ["gemma-2-2b"]
    assert repr(found) == f"<LabelFile {found.name!r}: 3 labels>"
    assert {label.source for _, _, label in read_label_file(path, source="np").rows} == {"np"}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"layer": 1, "index": 2}, "no text: found None"),
        ({"layer": 1, "index": 2, "text": "  "}, "no text: found '  '"),
        ({"layer": 1, "index": 2, "text": 5}, "no text: found 5"),
        ({"layer": 1, "index": 2, "text": "x" * (LONGEST_TEXT + 1)}, "a text of 4,001 characters; at most 4,000"),
        ({"layer": -1, "index": 2, "text": "x"}, "no whole number from 0: found -1 as a layer"),
        ({"layer": True, "index": 2, "text": "x"}, "no whole number from 0: found True as a layer"),
        ({"layer": "x-1", "index": 2, "text": "x"}, "no whole number from 0: found 'x-1' as a layer"),
        ({"layer": 1, "index": 2.5, "text": "x"}, "no whole number from 0: found 2.5 as an index"),
        ({"layer": 1, "text": "x"}, "no whole number from 0: found None as an index"),
        ({"layer": 1, "index": "9" * 20, "text": "x"}, "as an index"),
        ({"layer": 1, "index": 2, "text": "x", "source": 5}, "no text: found 5 as source"),
        ({"layer": 1, "index": 2, "text": "x", "source": "s" * 201}, "a source is a text of at most 200 characters"),
        ([1, 2, "x"], "not an object"),
        ({"layer": 3, "index": 9, "text": "x"}, "layer 3 is too high"),
    ],
)
def test_a_bad_row_is_named_and_the_others_are_read(row: Any, reason: str, tmp_path: Path) -> None:
    def check(layer: int, feature: int) -> None:
        if layer > 2:
            raise ConfigError(f"layer {layer} is too high")

    good = {"layer": 1.0, "Index": " 2 ", "Text": "x", "source": "me"}
    found = read_label_file(jsonl(tmp_path / "l.jsonl", good, row, good), check=check)
    assert found.rows == [(1, 2, Label("x", "me"))] * 2
    ((line, said),) = found.bad
    assert line == 2
    assert reason in said
    assert len(said) < 300


def test_rows_of_a_table_that_are_no_labels_are_named(tmp_path: Path) -> None:
    path = tmp_path / "l.csv"
    path.write_bytes(b'layer,index,text\n1,2,ok\n1,2\n1,2,\xff\n1,2,"bad"quote\n1,3,ok\n')
    found = read_label_file(str(path))
    assert [row[:2] for row in found.rows] == [(1, 2), (1, 3)]
    assert [line for line, _ in found.bad] == [3, 4, 5]
    assert "wrong number of cells" in found.bad[0].reason
    assert "not UTF-8" in found.bad[1].reason


def test_what_cannot_hold_labels_is_refused_whole(tmp_path: Path) -> None:
    missing = r"l.csv:1: missing column: found columns 'layer', 'text', expected index or feature among them"
    with pytest.raises(CorpusError, match=missing):
        read_label_file(write(tmp_path / "l.csv", "layer,text\n1,x\n"))
    with pytest.raises(CorpusError, match="duplicate column 'layer'"):
        read_label_file(write(tmp_path / "l.csv", "layer,Layer,index,text\n1,1,2,x\n"))
    with pytest.raises(CorpusError, match="no such file; expected labels there"):
        read_label_file(str(tmp_path / "none.jsonl"))
    with pytest.raises(CorpusError, match="unknown file ending"):
        read_label_file(str(tmp_path / "l.xlsx"))
    with pytest.raises(CorpusError, match="plain text has no columns"):
        read_label_file(write(tmp_path / "l.txt", "x"))
    with pytest.raises(ConfigError, match="no format of labels 'jsn'; there are jsonl, csv, tsv, parquet"):
        read_label_file(str(tmp_path / "l.csv"), format="jsn")
    with pytest.raises(ConfigError, match="standard input has no name: --format"):
        read_label_file("-")
    with pytest.raises(ConfigError, match="a source is a text"):
        read_label_file(str(tmp_path / "l.csv"), source=" ")
    parquet.write_table(pyarrow.table({"layer": [1], "text": ["x"]}), tmp_path / "l.parquet")
    with pytest.raises(CorpusError, match="missing column"):
        read_label_file(str(tmp_path / "l.parquet"))


def test_two_dictionaries_of_a_layer_or_two_models_in_a_file_are_refused(tmp_path: Path) -> None:
    rows = [{"layer": f"12-{name}", "index": 1, "description": "x"} for name in ("res-16k", "res-65k")]
    with pytest.raises(CorpusError, match=r"l.jsonl:2: layer 12 is of source set '12-res-65k', and of '12-res-16k'"):
        read_label_file(jsonl(tmp_path / "l.jsonl", *rows))
    rows = [{"layer": 1, "index": 1, "description": "x", "modelId": model} for model in ("gpt2", "gemma")]
    with pytest.raises(CorpusError, match="labels of the models 'gpt2' and 'gemma'"):
        read_label_file(jsonl(tmp_path / "l.jsonl", *rows))


def test_the_number_of_labels_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_file, "MOST_LABELS", 3)
    rows = [{"layer": 1, "index": number, "text": "x"} for number in range(4)]
    assert len(read_label_file(jsonl(tmp_path / "l.jsonl", *rows[:3])).rows) == 3
    with pytest.raises(CorpusError, match="more than 3 labels"):
        read_label_file(jsonl(tmp_path / "l.jsonl", *rows))
