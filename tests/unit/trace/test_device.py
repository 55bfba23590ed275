"""The precision of products is the configured one, whatever the program has set for its own, and is put back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from jobs_of_cases import CASE, TEXTS

from distributed_tracer import TraceConfig, attribute, load_model, load_transcoders
from distributed_tracer.config import SweepPrecision
from distributed_tracer.trace.device import matmul_precision

NEW = hasattr(torch.backends.cuda.matmul, "fp32_precision")


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    yield
    torch.set_float32_matmul_precision("highest")
    if NEW:
        torch.backends.fp32_precision = torch.backends.cuda.matmul.fp32_precision = "none"
        torch.backends.mkldnn.matmul.fp32_precision = "none"


@pytest.mark.parametrize("own", ["highest", "high", "medium"])
@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
def test_a_program_with_its_own_precision_gets_the_configured_one_inside_only(
    precision: SweepPrecision, own: str
) -> None:
    torch.set_float32_matmul_precision(own)
    with matmul_precision(precision):
        if NEW:
            assert torch.backends.cuda.matmul.fp32_precision == ("tf32" if precision == "tf32" else "ieee")
            assert torch.backends.mkldnn.matmul.fp32_precision == "ieee"
        assert not torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction
    assert torch.get_float32_matmul_precision() == own
    assert torch.backends.cuda.matmul.allow_tf32 == (own != "highest")
    assert torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction


@pytest.mark.skipif(not NEW, reason="torch before 2.9 has one setting only")
def test_a_program_that_uses_torchs_newer_setting_can_trace() -> None:
    model, transcoders = load_model(str(CASE / "model")), load_transcoders(str(CASE / "transcoders"))
    expected = attribute(TEXTS[0], model, transcoders, TraceConfig(20))
    torch.backends.fp32_precision = "tf32"
    found = attribute(TEXTS[0], model, transcoders, TraceConfig(20))
    assert found.weight_E.tobytes() == expected.weight_E.tobytes()
    assert torch.backends.cuda.matmul.fp32_precision == "tf32"
