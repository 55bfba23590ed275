"""Tasks of virtual weights, and their phases.

activity ─▶ candidates of each two layers ─▶ values of the pairs of each two layers; the gate of each gated pair

Axes: X pair of features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from ..store.reader import open_store
from ..tasks.phases import Phases
from ..tasks.task import Place, Task
from .activity import Activity, Floats
from .chance import Chance
from .feature_vectors import FeatureVectors, feature_vectors
from .prompt_tasks import keep_prompts, read_prompts
from .prompts import ChosenPrompts
from .task_arrays import load_arrays, save_arrays
from .task_cache import kept_for_next
from .weight_candidates import Candidates, LayerChoice, LayerPair, choose_of_layers, compared_layers, joined_choices
from .weight_gates import Pair, find_condition
from .weight_pairs import PairValues, pair_values

_OF_PAIRS = ("source_X", "target_X", "is_strong_X", "is_active_X")


@dataclass(frozen=True, eq=False)
class WeightPhases:
    """The phases of virtual weights, in their order."""

    phases: Phases
    prompts: str
    """Folder of the prompts."""
    folder: str
    """Folder of the activity."""
    activity: Activity

    @classmethod
    def begin(cls, phases: Phases, prompts: ChosenPrompts, num_layers: int) -> WeightPhases:
        """Do the first phase, which reads where features are active."""
        kept = keep_prompts(phases, prompts)
        (done,) = phases.run("activity", [Task(write_activity, {"prompts": kept, "num_layers": num_layers})])
        return cls(phases, kept, done.folder, Activity(prompts, phases.work / done.folder))

    def candidates(self, top: int, candidates: int, min_positions: int) -> Candidates:
        """Choose the pairs of features, a task for each two layers."""
        pairs, num_features = compared_layers(self.activity, min_positions)
        numbers = {"num_strong": candidates, "num_active": top, "min_positions": min_positions}
        tasks = [Task(choose_candidates, {**self._common, "layers": list(layers), **numbers}) for layers in pairs]
        done = self.phases.run("candidates", tasks)
        choices = []
        for (source, target), one in zip(pairs, done, strict=True):
            arrays = load_arrays(self.phases.work / one.folder)
            choices.append(LayerChoice(source, target, arrays["strong"], arrays["best"], one.value))
        return joined_choices(choices, top, num_features)

    def values(self, chosen: Candidates) -> PairValues:
        """Compute the values of all chosen pairs, a task for each two layers."""
        tasks = [
            Task(
                compute_values,
                {
                    **self._common,
                    "layers": [pair.source_layer, pair.target_layer],
                    "pairs": {name: getattr(pair, name).tolist() for name in _OF_PAIRS},
                },
            )
            for pair in chosen.layer_pairs
        ]
        done = self.phases.run("values", tasks)
        parts = [PairValues(**load_arrays(self.phases.work / one.folder)) for one in done]
        return PairValues.joined(parts, self.activity.num_layers)

    def conditions(self, pairs: Sequence[Pair]) -> list[Floats]:
        """Look for the gates of pairs, a task for each."""
        done = self.phases.run("gates", [Task(find_gate, {**self._common, "pair": list(pair)}) for pair in pairs])
        return [load_arrays(self.phases.work / one.folder)["found"] for one in done]

    @property
    def _common(self) -> dict[str, str]:
        return {"prompts": self.prompts, "activity": self.folder}


def write_activity(place: Place, prompts: str, num_layers: int) -> None:
    """Write where features are active."""
    Activity.write(read_prompts(place, prompts), place.out, num_layers, place.given["memory_gb"])


def choose_candidates(
    place: Place, prompts: str, activity: str, layers: list[int], num_strong: int, num_active: int, min_positions: int
) -> int:
    """Write the candidates of two layers, source and target; return the number of pairs that were compared."""
    of_prompts, vectors = _activity(place, prompts, activity), _vectors(place)
    source, target = layers
    found = choose_of_layers(of_prompts, vectors, (source, target), num_strong, num_active, min_positions)
    save_arrays(place.out, {"strong": found.strong, "best": found.best})
    return found.num_compared


def compute_values(place: Place, prompts: str, activity: str, layers: list[int], pairs: dict[str, list[int]]) -> None:
    """Write the values of chosen pairs of two layers."""
    of_prompts = _activity(place, prompts, activity)
    source, target = layers
    pair = LayerPair.of_lists(source, target, *(pairs[name] for name in _OF_PAIRS))
    found = pair_values(of_prompts, _vectors(place), _chance(of_prompts), pair)
    save_arrays(place.out, {entry.name: getattr(found, entry.name) for entry in fields(found)})


def find_gate(place: Place, prompts: str, activity: str, pair: list[int]) -> None:
    """Write what opens the gate of a pair, as `find_condition` returns it."""
    source_layer, source_feature, target_layer, target_feature = pair
    ends = (source_layer, source_feature, target_layer, target_feature)
    save_arrays(place.out, {"found": find_condition(_activity(place, prompts, activity), ends)})


def _activity(place: Place, prompts: str, folder: str) -> Activity:
    return _opened(str(place.work), prompts, folder, place.given["store"])


@kept_for_next
def _opened(work: str, prompts: str, folder: str, url: str) -> Activity:
    """Return the activity of a folder, whose layers stay in memory from one task to the next."""
    place = Place(Path(work), Path(work), {"store": url})
    return Activity(read_prompts(place, prompts), place.work / folder)


@kept_for_next
def _chance(activity: Activity) -> Chance:
    return Chance.of(activity)


def _vectors(place: Place) -> FeatureVectors:
    """Return the vectors that are given, or those of the files that are named."""
    given = place.given["vectors"]
    return given if isinstance(given, FeatureVectors) else vectors_of_files(place.given["store"], *given)


@kept_for_next
def vectors_of_files(url: str, transcoders: str | None, model: str | None) -> FeatureVectors:
    """Return what `feature_vectors` returns, which is kept for the next task of the same files."""
    return feature_vectors(open_store(url), transcoders, model)
