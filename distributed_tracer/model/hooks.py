"""Hooks on the modules of a Hugging Face model, through which an object of type ForwardHooks observes and changes a
forward pass: norm scales, attention patterns and MLP outputs.

Norms are computed here, not only observed, so that the recorded scale is exactly the one that was used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..errors import ConfigError
from ..shapes import INPUT_SITES, OUTPUT_SITES
from .attention import watch_patterns
from .model import Model
from .norm import Norm
from .rope import forget_lengths

FINAL = "final"
NormKey = tuple[int, str]
"""The key of a norm: (layer, role), where the role is attention, attention_post, mlp or mlp_post. The key of the final
norm is (num_layers, FINAL)."""


class ForwardHooks(Protocol):
    """An object that observes a forward pass and decides parts of it. All tensors have a leading batch axis."""

    def pattern(self, layer: int, compute: Callable[[], Tensor]) -> Tensor:
        """Return the attention pattern to use in a layer. `compute` returns the layer's own pattern."""
        ...

    def scale(self, key: NormKey, compute: Callable[[], Tensor]) -> Tensor:
        """Return the scale to use in a norm. `compute` returns the norm's own scale."""
        ...

    def embeddings(self, x: Tensor) -> Tensor:
        """Receive the residual stream that enters the first layer, and return the one to use."""
        ...

    def mlp_input(self, layer: int, x: Tensor) -> None:
        """Receive the value at the transcoders' input site."""
        ...

    def mlp_output(self, layer: int, y: Tensor) -> Tensor:
        """Receive the value at the transcoders' output site, and return the one to use."""
        ...

    def final(self, y: Tensor) -> None:
        """Receive the value at the final norm's output."""
        ...


def check_sites(model: Model, input_site: str, output_site: str) -> None:
    """Raise ConfigError for a site that does not exist at all, or that this architecture does not have."""
    if input_site not in INPUT_SITES:
        raise ConfigError(f"unknown input site {input_site!r}; known are {', '.join(INPUT_SITES)}")
    if output_site not in OUTPUT_SITES:
        raise ConfigError(f"unknown output site {output_site!r}; known are {', '.join(OUTPUT_SITES)}")
    if input_site == "ln2.hook_normalized" and model.sites.mlp_norm is None:
        raise ConfigError(f"{model.shape.architecture} has no norm before its MLP, so no site {input_site!r}")


@contextmanager
def hooked(model: Model, hooks: ForwardHooks, input_site: str, output_site: str) -> Iterator[None]:
    """Install hooks inside the block: the model's forward passes call `hooks` and use what it returns.

    Raises ConfigError for a site that the model does not have.
    """
    check_sites(model, input_site, output_site)
    forget_lengths(model.hf)
    handles: list[RemovableHandle] = []
    with ExitStack() as stack:
        stack.callback(_remove, handles)
        stack.enter_context(watch_patterns(hooks.pattern))
        handles.append(_before(model.decoder_layers[0], hooks.embeddings))
        for number, module in enumerate(model.decoder_layers):
            handles += _layer_hooks(model, hooks, number, module, input_site, output_site)
        final = model.hf.get_submodule(model.sites.final_norm)
        key = (model.shape.num_layers, FINAL)
        handles.append(_norm_hook(final, model.final_norm, key, hooks, lambda _x, _n, y: hooks.final(y)))
        yield


def _remove(handles: list[RemovableHandle]) -> None:
    for handle in handles:
        handle.remove()


def _layer_hooks(
    model: Model, hooks: ForwardHooks, number: int, module: nn.Module, input_site: str, output_site: str
) -> Iterator[RemovableHandle]:
    sites, layer = model.sites, model.layers[number]

    def see_input(x: Tensor, normalized: Tensor, output: Tensor) -> None:
        seen = {"hook_resid_mid": x, "ln2.hook_normalized": normalized, "mlp.hook_in": output}[input_site]
        hooks.mlp_input(number, seen)

    def see_bare_input(x: Tensor) -> Tensor:
        hooks.mlp_input(number, x)
        return x

    for path, norm, role in (
        (sites.attention_norm, layer.attention_norm, "attention"),
        (sites.attention_post_norm, layer.attention_post_norm, "attention_post"),
        (sites.mlp_norm, layer.mlp_norm, "mlp"),
        (sites.mlp_post_norm, layer.mlp_post_norm, "mlp_post"),
    ):
        if path is not None and norm is not None:
            observe = see_input if role == "mlp" else None
            yield _norm_hook(module.get_submodule(path), norm, (number, role), hooks, observe)
    mlp = module.get_submodule(sites.mlp)
    if sites.mlp_norm is None:
        yield _before(mlp, see_bare_input)
    after_post_norm = output_site == "hook_mlp_out" and sites.mlp_post_norm is not None
    written = module.get_submodule(sites.mlp_post_norm) if after_post_norm and sites.mlp_post_norm else mlp
    yield _after(written, lambda y: hooks.mlp_output(number, y))


def _norm_hook(
    module: nn.Module,
    norm: Norm,
    key: NormKey,
    hooks: ForwardHooks,
    observe: Callable[[Tensor, Tensor, Tensor], None] | None = None,
) -> RemovableHandle:
    def hook(_module: nn.Module, args: tuple[Tensor, ...], _output: Tensor) -> Tensor:
        x = args[0]
        scale = hooks.scale(key, lambda: norm.scale(x))
        output = norm.forward(x, scale)
        if observe is not None:
            observe(x, norm.normalized(x, scale), output)
        return output

    return module.register_forward_hook(hook)


def _before(module: nn.Module, change: Callable[[Tensor], Tensor]) -> RemovableHandle:
    """Install a hook that passes the module's first argument (hidden states) through `change`."""

    def hook(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        if args:
            return (change(args[0]), *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": change(kwargs["hidden_states"])}

    return module.register_forward_pre_hook(hook, with_kwargs=True)


def _after(module: nn.Module, change: Callable[[Tensor], Tensor]) -> RemovableHandle:
    """Install a hook that passes the module's output (the first of a tuple) through `change`.

    `change` gets it in the shape of the module's input, because some experts flatten the positions of a batch into one
    axis.
    """

    def hook(_module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        y: Tensor = output[0] if isinstance(output, tuple) else output
        changed = change(y.view(args[0].shape)).view(y.shape)
        return (changed, *output[1:]) if isinstance(output, tuple) else changed

    return module.register_forward_hook(hook)
