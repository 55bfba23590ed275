"""Dry run: reads a model, transcoders and prompts as a run would, except for the weights, in an offline process:

python -m distributed_tracer.ops.bundle.dry_run model=PATH transcoders=PATH prompts=PATH      (any of them)
"""

from __future__ import annotations

import sys

from ...config import CorpusConfig, JobConfig, ModelConfig, StoreConfig, TranscoderConfig
from ...errors import TracerError


def dry_run(model: str | None = None, transcoders: str | None = None, prompts: str | None = None) -> str:
    """Return one line about what was read. Raises the errors that a run would raise."""
    from ...job.inputs import load_inputs
    from ...model.load import load_tokenizer, model_shape
    from ...transcoder.load import check_fits, transcoder_shape

    if model and transcoders and prompts:
        corpus = CorpusConfig(prompts, on_bad_prompt="record")
        inputs = load_inputs(JobConfig(ModelConfig(model), TranscoderConfig(transcoders), corpus, StoreConfig("")))
        found = f"{inputs.model.architecture} of {inputs.model.num_layers} layers, {len(inputs.prompts):,} prompts"
        if first := next(inputs.rejected, None):
            num_rejected = inputs.prompts.num_rejected
            found += f"; {num_rejected:,} cannot be traced, as {first.prompt_id!r}: {first.reason}"
        return found
    if model:
        load_tokenizer(model)
        shape = model_shape(model)
        if transcoders:
            check_fits(transcoder_shape(transcoders), shape)
        return f"{shape.architecture} of {shape.num_layers} layers"
    return f"transcoders of {transcoder_shape(transcoders).num_layers} layers" if transcoders else "prompts alone"


def main(args: list[str]) -> int:
    """Return the exit code: 0, or 1 with the reason on standard error."""
    try:
        print(dry_run(**dict(arg.split("=", 1) for arg in args)))
    except (TracerError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
