"""``data`` of ``build_model(data, hp)``: what the transformed features are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import pyarrow.parquet as pq
import tensorflow_transform as tft
from tensorflow_transform.saved.saved_transform_io_v2 import SavedModelLoader

from fluent_pipe.artifacts import BaseModel, TransformGraph
from fluent_pipe.errors import ArgumentError, TrainingError
from fluent_pipe.training.base_model import load_base_model
from fluent_pipe.training.columns import Feature, features_of, to_array
from fluent_pipe.training.dataset import Batches, row_count, windows

Task = Literal["binary", "multiclass", "regression"]

MOST_CATEGORIES = 1_000_000


class TrainingData:
    """The transformed features, the label and the rows of one run, as a model builder needs them.

    One value a row has the shape ``(1,)``, so that features concatenate and feed ``Dense`` as they are; vectors are
    ``(k,)``. A sparse or ragged feature is ``(None,)``: its rows are filled up to the longest of the batch, with
    -1 (int64), 0.0 (float32) or ``""`` (string).

    Parameters
    ----------
    graph
        What ``preprocess`` left.
    train_split
        Name of the split that the model learns from.
    base_model
        What :meth:`base_model` loads; None where the pipeline has none.

    Raises
    ------
    TrainingError
        If no label was given to ``preprocess``, or it is not a number.

    Examples
    --------
    A model builder::

        def build_model(data, hp):
            inputs = data.inputs()
            numbers = keras.layers.Concatenate()([inputs[name] for name in data.numeric_features])
            output = keras.layers.Dense(1, activation="sigmoid")(numbers)
            model = keras.Model(inputs, output)
            model.compile("adam", "binary_crossentropy", metrics=["AUC"])
            return model
    """

    def __init__(
        self, graph: TransformGraph, *, train_split: str = "train", base_model: BaseModel | None = None
    ) -> None:
        self._graph = graph
        self._train_split = train_split
        self._base_model = base_model
        self._facts = graph.facts()
        self._all = features_of(self._facts)
        self.label: str = _label(self._facts.get("label"), self._all)
        self.weight: str | None = self._facts.get("weight")
        self._features = {n: f for n, f in self._all.items() if n not in (self.label, self.weight)}

    def __repr__(self) -> str:
        return f"TrainingData(label={self.label!r}, task={self.task!r}, features={self.features})"

    @property
    def features(self) -> list[str]:
        """Names of the transformed features, without label and weight."""
        return list(self._features)

    @cached_property
    def categorical_features(self) -> list[str]:
        """The int64 features that are ids: with a vocabulary, or counted from 0 up to at most a million."""
        return [name for name, feature in self._features.items() if feature.dtype == "int64" and self._is_id(name)]

    @property
    def numeric_features(self) -> list[str]:
        """The float32 features, and the int64 ones that are no ids."""
        ids = set(self.categorical_features)
        return [n for n, f in self._features.items() if f.dtype != "string" and n not in ids]

    @property
    def task(self) -> Task:
        """``"binary"``, ``"multiclass"`` or ``"regression"``, by the label."""
        task: Task = self._facts.get("task") or "regression"
        return task

    @property
    def class_count(self) -> int | None:
        """Number of classes of the label; None for regression."""
        count: int | None = self._facts.get("class_count")
        return count

    @property
    def classes(self) -> list[Any] | None:
        """Values of the label by class index; None for regression, and where the label holds the indices themselves."""
        classes: list[Any] | None = self._facts.get("classes")
        return classes

    @cached_property
    def transform_output(self) -> tft.TFTransformOutput:
        """TFT's own view of the transform graph."""
        return tft.TFTransformOutput(str(self._graph.path))

    def base_model(self, *, endpoint: str | None = None) -> keras.Model | keras.layers.Layer:
        """The model of ``with_base_model``, newly loaded.

        Parameters
        ----------
        endpoint
            Signature of a SavedModel to call. Default: ``"serve"`` if there is one, else ``"serving_default"``.

        Returns
        -------
        keras.Model or keras.layers.Layer
            From a ``.keras`` file the model, not compiled. From a SavedModel a ``keras.layers.TFSMLayer`` that is not
            trained; a signature gives a dict of tensors.

        Raises
        ------
        TrainingError
            If the pipeline has no base model, it cannot be loaded, or has no such signature.
        """
        return load_base_model(self._base_model, endpoint=endpoint)

    @cached_property
    def transform_graph(self) -> SavedModelLoader:
        """The transform graph, loaded."""
        return SavedModelLoader(self.transform_output.transform_savedmodel_dir)

    @property
    def categories(self) -> dict[str, list[Any]]:
        """Values by id, of the features that the default preprocessing made ids of without a vocabulary file."""
        return dict(self._facts.get("categories") or {})

    @cached_property
    def fixed_domains(self) -> list[str]:
        """The features of which the transform graph, not the rows, says how many ids there are."""
        return [name for name in self._features if self._domain(name) is not None]

    def inputs(self) -> dict[str, keras.KerasTensor]:
        """Keras inputs by feature name, the same ones at each call. Label and weight are left out.

        Returns
        -------
        dict of str to keras.KerasTensor
            Shape ``[batch, 1]`` for one value a row, ``[batch, k]`` for vectors, ``[batch, None]`` for multi-valued
            features.
        """
        return dict(self._inputs)

    @cached_property
    def _inputs(self) -> dict[str, keras.KerasTensor]:
        for name in self._features:
            if "/" in name:
                raise TrainingError(
                    f"Feature {name!r} cannot be a Keras input: its name holds a '/'.",
                    fix="Give it another name in preprocessing_fn.",
                )
            keras.backend.get_uid(name)  # Keras then gives this name to no layer, which a column "add" would meet
        return {n: keras.Input(f.row_shape, name=n, dtype=f.dtype) for n, f in self._features.items()}

    def vocabulary_size(self, name: str) -> int:
        """Size of the vocabulary of a feature, with its buckets for values out of the vocabulary.

        Raises
        ------
        ArgumentError
            If there is no such feature, or it has no vocabulary.
        """
        self.feature(name)
        sizes: dict[str, int] = self._facts.get("vocabularies") or {}
        if name not in sizes:
            raise ArgumentError(
                f"Feature {name!r} has no vocabulary.",
                got=name,
                valid=[n for n in self.features if n in sizes],
                fix="data.cardinality(name) also knows integers that come without one.",
            )
        domain = self._domain(name)
        return max(int(sizes[name]), 0 if domain is None else domain[1] + 1)

    def cardinality(self, name: str) -> int:
        """How many ids an int64 feature can have: one more than the largest.

        From the vocabulary, else the domain that TFT gives, else the largest value of the training split.

        Raises
        ------
        ArgumentError
            If there is no such feature, or it holds no ids.
        """
        if self.feature(name).dtype != "int64":
            raise ArgumentError(
                f"Feature {name!r} is {self.feature(name).dtype} and has no ids.",
                got=name,
                valid=self.categorical_features,
            )
        if name in (self._facts.get("vocabularies") or {}):
            return self.vocabulary_size(name)
        bounds = self._domain(name) or self._observed(name)
        if bounds is None:
            raise ArgumentError(
                f"The ids of feature {name!r} are not known.", got=name, valid=self.categorical_features
            )
        return bounds[1] + 1

    def feature(self, name: str) -> Feature:
        """Dtype and shape of one feature.

        Raises
        ------
        ArgumentError
            If there is no such feature.
        """
        if name not in self._features:
            role = " It is the label." if name == self.label else " It is the weight." if name == self.weight else ""
            raise ArgumentError(f"{name!r} is not a transformed feature.{role}", got=name, valid=self.features)
        return self._features[name]

    def rows(self, split: str) -> int:
        """Rows of a split.

        Raises
        ------
        ArgumentError
            If there is no such split.
        """
        return row_count(self.files(split))

    def batches(
        self,
        split: str,
        *,
        batch_size: int,
        features: Sequence[str] | None = None,
        shuffle_seed: int | None = None,
        class_weights: dict[int, float] | None = None,
    ) -> Batches:
        """The rows of a split, to be read in batches of features, label and, where there is one, weight."""
        return Batches(
            files=tuple(self.files(split)),
            features=tuple(self.feature(n) for n in (self.features if features is None else features)),
            batch_size=batch_size,
            label=self._all[self.label],
            weight=None if self.weight is None else self._all[self.weight],
            class_weights=class_weights,
            shuffle_seed=shuffle_seed,
        )

    def label_moments(self) -> tuple[float, float]:
        """Mean and standard deviation of the label over the first window of training rows."""
        label = self._all[self.label]
        window = next(windows(self.files(self._train_split), [self.label]), None)
        values = np.empty(0) if window is None else to_array(window.column(self.label), label)
        finite = values[np.isfinite(values)].astype(np.float64)
        return (float(finite.mean()), float(finite.std()) or 1.0) if finite.size else (0.0, 1.0)

    def class_counts(self) -> list[int]:
        """Rows of the training split by class index; empty for regression."""
        counts = self._facts.get("class_counts") or []
        if isinstance(counts, dict):
            return [int(n) for n in counts.values()]
        return [int(n) for n in counts]

    @property
    def label_feature(self) -> Feature:
        """Dtype and shape of the label."""
        return self._all[self.label]

    @property
    def label_size(self) -> int:
        """Values a row of the label: 1, or the length of a vector."""
        shape = self._all[self.label].shape
        return shape[-1] if shape else 1

    def files(self, split: str) -> list[Path]:
        """Parquet files of the transformed rows of a split.

        Raises
        ------
        ArgumentError
            If there is no such split.
        """
        files = self._graph.files(split)
        if not files:
            splits = sorted(self._facts.get("splits") or {})
            raise ArgumentError(f"There is no split {split!r}.", got=split, valid=splits)
        return files

    def _is_id(self, name: str) -> bool:
        if name in (self._facts.get("vocabularies") or {}):
            return True
        bounds = self._domain(name) or self._observed(name)
        return bounds is not None and bounds[0] >= 0 and bounds[1] < MOST_CATEGORIES

    def _domain(self, name: str) -> tuple[int, int] | None:
        domain = self.transform_output.transformed_domains().get(name)
        known = domain is not None and type(domain).__name__ == "IntDomain" and domain.HasField("max")
        return (domain.min, domain.max) if known else None

    def _observed(self, name: str) -> tuple[int, int] | None:
        """Bounds in the training split, which Parquet's footers keep."""
        low: list[int] = []
        high: list[int] = []
        for file in self.files(self._train_split):
            footer = pq.read_metadata(file)
            for group in range(footer.num_row_groups):
                columns = (footer.row_group(group).column(i) for i in range(footer.num_columns))
                for column in columns:
                    if (
                        column.path_in_schema.split(".")[0] == name
                        and column.statistics
                        and column.statistics.has_min_max
                    ):
                        low.append(column.statistics.min)
                        high.append(column.statistics.max)
        return (min(low), max(high)) if low else None


def _label(label: str | None, features: dict[str, Feature]) -> str:
    if label is None:
        raise TrainingError("There is no label to learn.", fix='Name it in preprocess(label="...").')
    if label not in features:
        raise TrainingError(
            f"Label {label!r} is not a transformed feature.",
            got=label,
            valid=features,
            fix="Return it from preprocessing_fn.",
        )
    feature = features[label]
    if feature.dtype == "string" or feature.multi_valued:
        what = "text" if feature.dtype == "string" else "multi-valued"
        raise TrainingError(
            f"Label {label!r} is {what} after preprocessing.",
            fix="Return a number a row: 0 or 1, a class index (see tft.compute_and_apply_vocabulary), or a quantity.",
        )
    return label
