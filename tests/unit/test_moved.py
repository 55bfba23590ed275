"""Scripts of the version before find modules and names under their former names, and are told the new ones."""

from __future__ import annotations

import re
import sys
from importlib import import_module

import pytest

from distributed_tracer.moved import MOVED, RENAMED

FORMER = {new: old for old, new in MOVED.items()}


@pytest.mark.parametrize("former", MOVED)
def test_a_moved_module_is_found_and_its_new_name_said(former: str) -> None:
    new = import_module(f"distributed_tracer.{MOVED[former]}")
    sys.modules.pop(f"distributed_tracer.{former}", None)
    with pytest.warns(DeprecationWarning, match=re.escape(f"distributed_tracer.{former} is now {new.__name__}")):
        old = import_module(f"distributed_tracer.{former}")
    public = [name for name in vars(new) if not name.startswith("_")]
    assert all(getattr(old, name) is getattr(new, name) for name in public)


@pytest.mark.parametrize("module", RENAMED)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_former_names_in_modules_stand_for_the_new_ones(module: str) -> None:
    old = import_module(f"distributed_tracer.{FORMER.get(module, module)}")
    for former, name in RENAMED[module].items():
        assert getattr(old, former) is getattr(import_module(f"distributed_tracer.{module}"), name)
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = old.nonsense


def test_a_name_that_changed_in_a_module_that_did_not_move_is_said() -> None:
    from distributed_tracer.plot import style

    with pytest.warns(
        DeprecationWarning, match=r"plot\.style\.save is now distributed_tracer\.plot\.style\.save_figure"
    ):
        assert style.save is style.save_figure
