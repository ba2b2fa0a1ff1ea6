"""Warm start: a new model begins with the weights of an earlier one.

A weight is taken over by its layer and its place in it. Rows of an embedding table follow their words where a
vocabulary grew, shrank or was put in another order; new words keep their fresh rows. What cannot be taken over for
certain is refused: half a warm start would be neither of the two models.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from fluent_pipe.artifacts import BaseModel, Folder, HyperParameters, Model, folder_of
from fluent_pipe.errors import TrainingError
from fluent_pipe.training import vocabularies
from fluent_pipe.training.data import TrainingData
from fluent_pipe.training.tables import Tables, lookups, row_by_row
from fluent_pipe.training.vocabularies import Vocabulary

LEAVE_OUT = "Build the same model as before, or leave warm_start out."


@dataclass(frozen=True)
class Beginning:
    """What a training begins with.

    Parameters
    ----------
    hyperparameters
        What was found or given; None for the defaults of ``build_model``.
    base_model
        For the user's function.
    earlier
        The earlier model to take weights from.
    asked
        Whether a warm start was asked for; there may be no earlier model.
    own
        Whether the earlier model is one of this pipeline's, and not a folder that was named.
    """

    hyperparameters: HyperParameters | None = None
    base_model: BaseModel | None = None
    earlier: Folder | None = None
    asked: bool = False
    own: bool = False

    @property
    def folder(self) -> Path | None:
        """Where the earlier model lies."""
        return None if self.earlier is None else folder_of(self.earlier)

    @property
    def facts(self) -> dict[str, Any]:
        """What ``training.json`` says before anything was taken over; empty where no warm start was asked for."""
        if not self.asked:
            return {}
        note = "" if self.earlier else "There is no earlier model of other data; the weights began at random."
        return {"warm_start": {"from": self.source, "mapped": {}, "note": note}}

    @property
    def source(self) -> str | None:
        """The earlier model's execution, or the folder that was named."""
        return None if self.folder is None else self.folder.name if self.own else str(self.folder)

    @property
    def for_run_fn(self) -> str | None:
        """``fn_args.base_model``: the base model, else the SavedModel of the earlier model."""
        if self.base_model is not None:
            return str(self.base_model.model)
        if self.folder is None:
            return None
        serving = self.folder / "Format-Serving"
        return str(serving if serving.is_dir() else self.folder)


def warm_start(
    model: keras.Model, data: TrainingData, meanings: Mapping[str, Vocabulary], begin: Beginning, values: Any
) -> dict[str, Any]:
    """Give a new model the weights of an earlier one.

    Parameters
    ----------
    model
        Changed, or left as it is if this raises.
    data, meanings
        The transformed features of the new model, and what their ids stand for.
    begin
        Where the earlier model is.
    values
        Hyperparameters of the new model.

    Returns
    -------
    dict
        What ``training.json`` says of it; see :class:`~fluent_pipe.artifacts.Model`.

    Raises
    ------
    TrainingError
        If it cannot be: names the variable, the shapes and what to do.
    """
    assert begin.folder is not None
    earlier = _Earlier(begin.folder, own=begin.own)
    changed = _changed(earlier.meanings, meanings, [*data.features, data.label])
    if data.label in changed:
        raise TrainingError(
            f"The classes of label {data.label!r} are not those of the earlier model.",
            where=str(begin.folder),
            fix="Leave warm_start out: the last layer would learn other classes.",
        )
    old, new = _weights(earlier.model), _weights(model)
    _check_same_layers(old, new, begin.folder)
    moves = _Moves(earlier, model, data, meanings, changed)
    taken = [(new[key][1], moves.value(old[key], new[key], values)) for key in new]
    for variable, value in taken:
        variable.assign(value)
    mapped = {name: _counts(earlier.meanings[name], meanings[name]) for name in sorted(changed & moves.reached)}
    return {"from": begin.source, "mapped": mapped, "note": ""}


class _Earlier:
    """The earlier model, loaded."""

    def __init__(self, folder: Path, *, own: bool) -> None:
        self.folder = folder
        file = folder / "model.keras"
        meanings = vocabularies.load(folder)
        if not file.is_file() or meanings is None:
            why = "it was saved by a run_fn" if (folder / "Format-Serving").is_dir() else "it is no Model artifact"
            raise TrainingError(
                f"The earlier model has no weights to begin with: {why}.",
                where=str(folder),
                fix="Warm start from a model that build_model made, or read fn_args.base_model in run_fn.",
            )
        self.meanings = meanings
        try:
            # Keras runs no code of a stored Lambda layer unless told to; a model of one's own pipeline is trusted.
            self.model = keras.models.load_model(file, compile=False, safe_mode=not own)
        except Exception as error:
            said = str(error).strip().partition("\n")[0].partition(". ")[0].rstrip(".")
            raise TrainingError(
                f"The earlier model cannot be loaded: {type(error).__name__}: {said}.",
                where=str(file),
                fix="Register its own layers with keras.saving.register_keras_serializable, or leave warm_start out.",
            ) from error

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """What it was built with."""
        facts = json.loads((self.folder / Model.facts_file).read_text())
        return dict(facts.get("hyperparameters") or {})


class _Moves:
    """Values for the new model's variables."""

    def __init__(
        self,
        earlier: _Earlier,
        model: keras.Model,
        data: TrainingData,
        meanings: Mapping[str, Vocabulary],
        changed: set[str],
    ) -> None:
        self._earlier = earlier
        self._changed = changed
        old_words, new_words = lookups(earlier.model), lookups(model)
        self._texts_changed = old_words != new_words
        self._functional = hasattr(model, "_nodes_by_depth") and hasattr(earlier.model, "_nodes_by_depth")
        self.reached: set[str] = set()
        if self._functional:
            self._old = Tables(earlier.model, data, earlier.meanings)
            self._new = Tables(model, data, meanings)
            self.reached = changed & {tensor.name for tensor in model.inputs}
            _check_inputs(earlier.model, model, earlier.folder)
        elif changed or self._texts_changed:
            raise TrainingError(
                f"The vocabulary of {_first(changed)!r} changed, and this model does not tell which rows are whose.",
                where=str(earlier.folder),
                fix="Build a functional model, keras.Model(data.inputs(), output), or leave warm_start out.",
            )
        for feature in sorted(self.reached):
            self._check_reach(feature)

    def value(self, old: tuple[Any, Any], new: tuple[Any, Any], values: Any) -> np.ndarray[Any, Any]:
        """What a variable of the new model begins with."""
        (old_layer, before), (layer, after) = old, new
        table = isinstance(layer, keras.layers.Embedding) and tuple(before.shape[1:]) == tuple(after.shape[1:])
        if table and self._functional and self._is_moved(layer, old_layer):
            return self._moved(old_layer, before, layer, after)
        if tuple(before.shape) != tuple(after.shape):
            raise TrainingError(
                f"{_name(layer, after)!r} has the shape {list(after.shape)}; in the earlier model it has "
                f"{list(before.shape)}.{self._why(values)}",
                where=str(self._earlier.folder),
                fix=LEAVE_OUT,
            )
        return _array(before)

    def _is_moved(self, layer: Any, old_layer: Any) -> bool:
        reads, read = self._new.features(layer), self._old.features(old_layer)
        if sorted(reads) != sorted(read):
            raise TrainingError(
                f"Embedding {layer.name!r} depends on {', '.join(reads)}; in the earlier model on {', '.join(read)}.",
                where=str(self._earlier.folder),
                fix=LEAVE_OUT,
            )
        return bool(self._changed & set(reads)) or self._texts_changed or layer.input_dim != old_layer.input_dim

    def _moved(self, old_layer: Any, before: Any, layer: Any, after: Any) -> np.ndarray[Any, Any]:
        table, rows = _array(after).copy(), _array(before)
        taken = np.full(len(table), -1)
        for source, target in row_by_row(self._old.rows(old_layer), self._new.rows(layer)):
            there = (source >= 0) & (source < len(rows)) & (target >= 0) & (target < len(table))
            source, target = source[there], target[there]
            before_that = taken[target]
            taken[target] = source
            shared = (taken[target] != source) | ((before_that >= 0) & (before_that != source))
            if shared.any():
                raise TrainingError(
                    f"Row {target[shared][0]} of embedding {layer.name!r} stands for several words, which had rows of "
                    "their own.",
                    where=str(self._earlier.folder),
                    fix=LEAVE_OUT,
                )
        table[taken >= 0] = rows[taken[taken >= 0]]
        return table

    def _check_reach(self, feature: str) -> None:
        old = self._earlier.meanings.get(feature)
        if old is None:
            return  # a new feature; the shapes tell
        elsewhere = self._new.elsewhere(feature)
        if elsewhere is not None:
            raise TrainingError(
                f"The vocabulary of {feature!r} changed, and it reaches {elsewhere} other than through an Embedding.",
                where=str(self._earlier.folder),
                fix="Embed it, or leave warm_start out.",
            )
        if old.words is None:
            raise TrainingError(
                f"The ids of {feature!r} changed, and what they stand for cannot be told ({old.identity}).",
                where=str(self._earlier.folder),
                fix="Keep its buckets as they were, or leave warm_start out.",
            )

    def _why(self, values: Any) -> str:
        before = self._earlier.hyperparameters
        other = [f"{n} {before[n]} then, {v} now" for n, v in values.items() if n in before and before[n] != v]
        return f" The hyperparameters differ: {', '.join(other)}." if other else ""


def _changed(old: Mapping[str, Vocabulary], new: Mapping[str, Vocabulary], names: list[str]) -> set[str]:
    return {name for name in names if (name in old or name in new) and old.get(name) != new.get(name)}


def _weights(model: keras.Model) -> dict[tuple[str, int], tuple[Any, Any]]:
    """Layer and variable by the layer's name and place.

    Keras numbers the layers that the user does not name on through a process; here they are numbered by model.
    """
    numbers: Counter[str] = Counter()
    found: dict[tuple[str, int], tuple[Any, Any]] = {}
    for layer in (one for one in model.layers if one.weights):
        base = re.sub(r"_\d+$", "", layer.name)
        name = layer.name
        if base.replace("_", "") == type(layer).__name__.lower():
            numbers[base] += 1
            name = f"{base}#{numbers[base]}"
        found |= {(name, place): (layer, variable) for place, variable in enumerate(layer.weights)}
    own = {id(variable) for _, variable in found.values()}
    rest = [variable for variable in model.weights if id(variable) not in own]
    return found | {("", place): (model, variable) for place, variable in enumerate(rest)}


def _check_same_layers(old: Mapping[Any, Any], new: Mapping[Any, Any], folder: Path) -> None:
    for here, there, which in ((new, old, "earlier"), (old, new, "new")):
        missing = [_name(*here[key]) for key in here if key not in there]
        if missing:
            raise TrainingError(f"The {which} model has no {missing[0]!r}.", where=str(folder), fix=LEAVE_OUT)


def _check_inputs(old: keras.Model, new: keras.Model, folder: Path) -> None:
    before, after = ({t.name: f"{t.dtype} {list(t.shape[1:])}" for t in model.inputs} for model in (old, new))
    for names, which in ((after.keys() - before, "earlier"), (before.keys() - after, "new")):
        if names:
            raise TrainingError(f"The {which} model has no input {min(names)!r}.", where=str(folder), fix=LEAVE_OUT)
    for name, kind in after.items():
        if before[name] != kind:
            raise TrainingError(
                f"Input {name!r} is {kind}; in the earlier model it is {before[name]}.",
                where=str(folder),
                fix=LEAVE_OUT,
            )


def _counts(old: Vocabulary, new: Vocabulary) -> dict[str, int]:
    before, after = set(old.words or ()), set(new.words or ())
    return {"kept": len(before & after), "new": len(after - before), "gone": len(before - after)}


def _first(names: set[str]) -> str:
    return min(names) if names else "a lookup layer"


def _name(layer: Any, variable: Any) -> str:
    return f"{layer.name}/{variable.name}"


def _array(variable: Any) -> np.ndarray[Any, Any]:
    array: np.ndarray[Any, Any] = keras.ops.convert_to_numpy(variable)
    return array
