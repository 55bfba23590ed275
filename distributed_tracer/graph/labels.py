"""Labels: what people or programs say that features mean, each with its source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ..text import counted, short

Site = tuple[int, int]
"""A feature of the model: its layer and its index in that layer's transcoder."""


class Label(NamedTuple):
    """One label of a feature. Both texts come from outside and may contain any character."""

    text: str
    source: str
    """Who says so: a person, a file, an explanation model, or a rule."""


@dataclass(frozen=True, repr=False)
class Labels:
    """The labels of features, by layer and index. A feature may have several, from different sources."""

    of_feature: Mapping[Site, Sequence[Label]] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Iterable[tuple[int, int, Label]]) -> Labels:
        """Make labels of rows of layer, index and label. Those of one feature keep their order; repetitions are left
        out."""
        found: dict[Site, list[Label]] = {}
        for layer, feature, label in rows:
            if (known := found.get((layer, feature))) is None:
                found[layer, feature] = [label]
            else:
                known.append(label)
        return cls({site: tuple(dict.fromkeys(labels)) for site, labels in found.items()})

    def __repr__(self) -> str:
        num_labels = sum(map(len, self.of_feature.values()))
        return f"<Labels: {counted(num_labels, 'label')} of {counted(len(self), 'feature')}>"

    def __len__(self) -> int:
        """Return the number of features that have a label."""
        return len(self.of_feature)

    def __iter__(self) -> Iterator[tuple[Site, Sequence[Label]]]:
        return iter(self.of_feature.items())

    def get(self, layer: int, feature: int) -> Sequence[Label]:
        """Return the labels of a feature; none if nobody has labelled it."""
        return self.of_feature.get((int(layer), int(feature)), ())

    def text(self, layer: int, feature: int, length: int = 60) -> str:
        """Return the labels of a feature in one line, each text of at most `length` characters; empty if it has none.

        Texts that are equal are given once. Several are separated by " | ". Control characters are escaped.
        """
        return labels_text(self.get(layer, feature), length)


def labels_text(labels: Iterable[Label], length: int = 60) -> str:
    """Return labels of one feature in one line, as `Labels.text` does."""
    return " | ".join(short(text, length) for text in dict.fromkeys(label.text for label in labels))
