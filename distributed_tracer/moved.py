"""Former names of public modules. They keep working for one version, with a warning that names the new one."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_HERE = __package__
MOVED = {
    "intervene.saved_groups": "intervene.viewer_supernodes",
    "intervene.suggest": "intervene.cluster_supernodes",
    "model.tape": "model.forward_cache",
    "query.edges": "query.recurring_edges",
    "query.features": "query.feature_counts",
    "store.table": "table",
    "validate": "evaluate",
    "validate.edges": "evaluate.edge_effects",
    "validate.faithfulness": "evaluate.faithfulness",
    "validate.job": "evaluate.job",
}
"""Old name -> new name, both below this package."""


class _MovedModules(MetaPathFinder, Loader):
    """Finds modules under their former names."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, old = fullname.partition(".")
        return ModuleSpec(fullname, self) if package == _HERE and old in MOVED else None

    def exec_module(self, module: ModuleType) -> None:
        old = module.__name__.partition(".")[2]
        new = f"{_HERE}.{MOVED[old]}"
        warnings.warn(f"{module.__name__} is now {new}", DeprecationWarning, stacklevel=2)
        sys.modules[module.__name__] = import_module(new)


def install() -> None:
    """Let `import` find modules under their former names, too."""
    sys.meta_path.insert(0, _MovedModules())  # first: a moved package's own files would be found under both names
