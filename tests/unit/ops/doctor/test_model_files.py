"""What `doctor` says of a model whose files are all there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny import save_model

from distributed_tracer.artifacts.local_files import model_files
from distributed_tracer.cli.main import main
from distributed_tracer.ops.doctor.model_files import why_unreadable


def config(**flags: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **flags}))

    return change


def without_tokenizer(folder: Path) -> None:
    for path in folder.glob("*token*"):
        path.unlink()


def adapter(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{}")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (config(model_type="bert"), "no row for the architecture 'bert'"),
        (config(model_type="not-yet-known"), "cannot read config.json"),
        (config(quantization_config={"quant_method": "gptq", "bits": 4}), "is quantised by 'gptq'"),
        (without_tokenizer, "cannot read tokenizer files"),
        (adapter, "merge_and_unload"),
    ],
)
def test_what_a_run_would_refuse_is_a_problem_before_it(
    tmp_path: Path, change: Callable[[Path], None], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert why_unreadable(model_files(str(save_model(tmp_path)))) == ""
    change(tmp_path)
    assert main(["doctor", "--model", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "problem on " in out
    assert says in out


def test_nothing_is_asked_of_a_model_that_is_not_here_or_damaged(tmp_path: Path) -> None:
    (save_model(tmp_path) / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "model.safetensors").write_bytes(b"cut")
    assert why_unreadable(model_files(str(tmp_path))) == ""
    assert why_unreadable(model_files("user/never-downloaded")) == ""
