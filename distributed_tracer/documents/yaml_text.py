"""YAML of plain values: only the types of JSON, dates and sets are constructed, and aliases cannot multiply them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from ..text import printable
from .json_text import MAX_DEPTH, MAX_DIGITS
from .text import Refuse, shortened

MAX_YAML_BYTES = 256 * 2**10
"""Largest size of a document: one for a set of transcoders with 100 layers has 20 KiB. Parsing 256 KiB takes some
seconds."""
_LONGEST = 500
_MAX_NODES = 100_000
"""Largest number of values in a document, if every alias counts as a copy."""


def parse_yaml(text: str, refuse: Refuse) -> Any:
    """Return the value of a YAML text, by the rules that hold for JSON.

    Raises `refuse` for malformed YAML, duplicate keys, deep nesting, long numbers, and aliases that would fill the
    memory.
    """
    if len(text) > MAX_YAML_BYTES:
        raise refuse(
            f"bad YAML: found {len(text):,} characters, expected at most {MAX_YAML_BYTES:,}; JSON may be longer"
        )
    loader = None
    try:
        loader = _Loader(text)
        return loader.get_single_data()
    except (yaml.YAMLError, ValueError) as error:
        raise refuse(f"bad YAML: {_plain(error)}") from error
    except (TypeError, LookupError, AttributeError, ArithmeticError) as error:
        raise refuse(f"bad YAML: a value does not fit its tag ({type(error).__name__}: {_plain(error)})") from error
    except RecursionError as error:
        raise refuse(f"bad YAML: nested too deeply, expected at most {MAX_DEPTH} levels") from error
    finally:
        if loader is not None:
            loader.dispose()


def _plain(error: Exception) -> str:
    """Return the parser's message, which quotes the document, in one line without control characters."""
    return printable(" ".join(str(error).split())[:_LONGEST])


class _Loader(yaml.SafeLoader):
    """Loader that refuses deep nesting while it composes nodes, and multiplied aliases and long integers before it
    constructs values."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = self._num_nodes = 0
        self._flat: set[yaml.Node] = set()

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._num_nodes += 1
        self._check_number(self._num_nodes)
        with self._deeper():
            return super().compose_node(parent, index)

    def construct_document(self, node: yaml.Node) -> Any:
        self._weigh(node, {})
        return super().construct_document(node)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Refuse duplicate keys of a mapping before merged keys are added, because merged keys may repeat its own."""
        if node not in self._flat:
            self._flat.add(node)
            written = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and not _is_merge(key)]
            if twice := [key for key, count in Counter(written).items() if count > 1]:
                raise ValueError(f"duplicate key {shortened(twice[0])}: expected once")
        super().flatten_mapping(node)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        if len(node.value) > MAX_DIGITS:
            raise ValueError(f"number out of range: found an integer of {len(node.value):,} characters")
        return int(super().construct_yaml_int(node))

    @staticmethod
    def _check_number(count: int) -> None:
        if count > _MAX_NODES:
            raise ValueError(f"it holds more than {_MAX_NODES:,} values, aliases counted as what they stand for")

    @contextmanager
    def _deeper(self) -> Iterator[None]:
        self._depth += 1
        if self._depth > MAX_DEPTH + 1:
            raise ValueError(f"nested too deeply, expected at most {MAX_DEPTH} levels")
        yield
        self._depth -= 1

    def _weigh(self, node: yaml.Node, known: dict[int, int]) -> int:
        """Return the number of values in a node, if every alias counts as a copy. Each node is visited once."""
        if id(node) in known:
            if not known[id(node)]:
                raise ValueError("an alias stands for what holds it")
            return known[id(node)]
        known[id(node)] = 0
        with self._deeper():
            inner = [node.value] if isinstance(node, yaml.ScalarNode) else node.value
            pairs = [part for item in inner for part in (item if isinstance(item, tuple) else (item,))]
            count = 1 + sum(self._weigh(part, known) for part in pairs if isinstance(part, yaml.Node))
        self._check_number(count)
        known[id(node)] = count
        return count


def _is_merge(key: yaml.Node) -> bool:
    return bool(key.tag == "tag:yaml.org,2002:merge")


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
