"""Former names of public modules and of their contents, which keep working for one version, with a warning."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")
_HERE = __name__.rpartition(".")[0]
MOVED = {
    "intervene.saved_groups": "intervene.viewer_supernodes",
    "intervene.suggest": "intervene.cluster_supernodes",
    "model.tape": "model.forward_cache",
    "query.edges": "query.recurring_edges",
    "query.features": "query.feature_counts",
    "store.read.column_batches": "table_stream",
    "store.table": "table",
    "validate": "evaluate",
    "validate.edges": "evaluate.edge_effects",
    "validate.faithfulness": "evaluate.faithfulness",
    "validate.job": "evaluate.job",
}
"""Former names of modules and their present names, both relative to this package."""
RENAMED = {
    "evaluate.edge_effects": {"EdgeMeasure": "EdgeEffectMetric"},
    "evaluate.faithfulness": {"FaithfulnessMeasure": "FaithfulnessMetric", "covering": "features_covering"},
    "evaluate.job": {"CheckJob": "EvaluationJob", "Checked": "EvaluationSummary", "run_checks": "run_evaluation"},
    "intervene.cluster_supernodes": {"suggest": "cluster_supernodes"},
    "intervene.intervene": {"Case": "InterventionCase", "Effect": "InterventionResult", "Seen": "ModelOutput"},
    "intervene.intervention_graph": {
        "Applied": "AppliedSettings",
        "Reading": "SupernodeState",
        "Setup": "SupernodeSettings",
    },
    "intervene.viewer_supernodes": {"SavedGroups": "ViewerSupernodes", "groups_of": "load_viewer_supernodes"},
    "model.forward_cache": {"Tape": "ForwardCache", "record": "run_with_cache"},
    "plot.style": {"save": "save_figure"},
}
"""Former names in each module, and their present names."""


def former_names(**names: str) -> Callable[[type[_T]], type[_T]]:
    """Return a class decorator that keeps former names of attributes, methods and arguments usable, with a warning.

    Each keyword is a former name, and its value is the present one.
    """

    def decorate(cls: type[_T]) -> type[_T]:
        plain: Callable[..., None] = vars(cls)["__init__"]

        @wraps(plain)
        def __init__(self: _T, *args: Any, **options: Any) -> None:
            plain(self, *args, **_with_present_names(options, names, cls.__name__))

        def member(former: str) -> property:
            def present(self: _T) -> Any:
                _warn(cls.__name__, former, names[former])
                return getattr(self, names[former])

            return property(present)

        for name, value in {"__init__": __init__, **{former: member(former) for former in names}}.items():
            setattr(cls, name, value)
        return cls

    return decorate


def former_arguments(**names: str) -> Callable[[Callable[_P, _T]], Callable[_P, _T]]:
    """Return a function decorator that keeps former names of keyword arguments usable, with a warning.

    Each keyword is a former name, and its value is the present one.
    """

    def decorate(function: Callable[_P, _T]) -> Callable[_P, _T]:
        @wraps(function)
        def call(*args: _P.args, **options: _P.kwargs) -> _T:
            return function(*args, **_with_present_names(options, names, function.__name__))

        return call

    return decorate


def renamed(module: str) -> Callable[[str], Any]:
    """Return the `__getattr__` function for a module in which names changed; `module` is its full name.

    The function warns and returns the object that a former name stands for. It raises AttributeError for a name that
    the module never had.
    """
    names: Mapping[str, str] = RENAMED[module.partition(".")[2]]

    def __getattr__(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warnings.warn(f"{module}.{name} is now {module}.{names[name]}", DeprecationWarning, stacklevel=2)
        return getattr(import_module(module), names[name])

    return __getattr__


def _with_present_names(options: Mapping[str, Any], names: Mapping[str, str], owner: str) -> Any:
    """Return keyword arguments with the present names, and warn of each former one. If both are given, the former
    counts: `dataclasses.replace` passes the present ones with their old values."""
    present = {name: value for name, value in options.items() if name not in names}
    for former in names.keys() & options.keys():
        _warn(owner, former, names[former], stacklevel=4)
        present[names[former]] = options[former]
    return present


def _warn(owner: str, former: str, now: str, stacklevel: int = 3) -> None:
    warnings.warn(f"{former} of {owner} is now {now}", DeprecationWarning, stacklevel=stacklevel)


def call_successor(module: str, name: str, instance: object) -> Any:
    """Warn that the method which calls this was replaced by a function, and return what the function returns for
    `instance`.

    `module` is relative to this package. The module may be in a layer above that of the method.
    """
    warnings.warn(f"use the function {_HERE}.{module}.{name}", DeprecationWarning, stacklevel=3)
    return getattr(import_module(f"{_HERE}.{module}"), name)(instance)


class _FormerModules(MetaPathFinder, Loader):
    """Finder of modules under their former names. Each is a separate module, whose attributes are those of the present
    one."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, former = fullname.partition(".")
        return ModuleSpec(fullname, self, is_package=True) if package == _HERE and former in MOVED else None

    def exec_module(self, module: ModuleType) -> None:
        name = MOVED[module.__name__.partition(".")[2]]
        warnings.warn(f"{module.__name__} is now {_HERE}.{name}", DeprecationWarning, stacklevel=2)
        names, there = RENAMED.get(name, {}), import_module(f"{_HERE}.{name}")

        def attribute(former: str) -> Any:
            return getattr(there, names.get(former, former))

        module.__dict__["__getattr__"] = attribute


def install() -> None:
    """Let `import` find modules under their former names as well."""
    if not any(isinstance(finder, _FormerModules) for finder in sys.meta_path):
        sys.meta_path.insert(0, _FormerModules())
