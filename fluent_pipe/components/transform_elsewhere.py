"""TensorFlow Transform on workers that share no disk, by way of an object store that TensorFlow need not know.

TFT hands the graph of each phase from worker to worker as the path of a folder, which TensorFlow writes and reads: so
its temporary folder must be one that TensorFlow reaches from everywhere. TensorFlow 2.16 has no file system for
``s3://``, and its own for ``gs://`` takes neither credentials nor endpoints where fsspec does. Here what travels is a
URL: who writes a folder or a vocabulary uploads it, and who reads one fetches it once.
"""

from __future__ import annotations

import json
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from tensorflow_transform.beam import common, impl
from tensorflow_transform.tf_metadata import dataset_metadata, metadata_io

from fluent_pipe.components.library_files import delivered_files, replaced
from fluent_pipe.components.staged import fetched, scratch
from fluent_pipe.remote import get, joined, put

_create_saved_model = impl._create_v2_saved_model  # noqa: SLF001 - TFT has no public place for this
_infer_metadata = impl._infer_metadata_from_saved_model  # noqa: SLF001


@contextmanager
def transform_elsewhere(url: str) -> Iterator[None]:
    """Have the parts of TFT that are built inside hand over folders below ``url``."""
    visitor = common.ConstructBeamPipelineVisitor
    arguments = visitor.ExtraArgs

    def with_url(**given: Any) -> Any:
        return arguments(**{**given, "base_temp_dir": url})

    with (
        tempfile.TemporaryDirectory(prefix="fluent_pipe-") as here,  # for what is traced while the graph is built
        delivered_files(),
        replaced(visitor, "ExtraArgs", staticmethod(with_url)),
        replaced(impl, "_create_v2_saved_model", _Create(url)),
        replaced(impl, "_infer_metadata_from_saved_model", _infer),
        replaced(impl, "_RunMetaGraphDoFn", _Run),
        tft_beam.Context(temp_dir=here, force_tf_compat_v1=False, use_deep_copy_optimization=True),
    ):
        yield


def write_transform_fn(
    folder: Path, graph: str, metadata: dataset_metadata.DatasetMetadata, assets: dict[str, str]
) -> None:
    """Leave in ``folder`` what ``tft_beam.WriteTransformFn`` leaves.

    Parameters
    ----------
    graph
        URL of the SavedModel.
    metadata
        Of the transformed features.
    assets
        File names of vocabularies by their names.
    """
    fetched(graph, folder / tft.TFTransformOutput.TRANSFORM_FN_DIR)
    transformed = folder / tft.TFTransformOutput.TRANSFORMED_METADATA_DIR
    metadata_io.write_metadata(metadata, str(transformed))
    if assets:
        (transformed / tft.TFTransformOutput.ASSET_MAP).write_text(json.dumps(assets))


@dataclass(frozen=True)
class _Create:
    """Traces the user's function with what the analysis has found so far, on a worker; the URL of the SavedModel."""

    url: str

    def __call__(self, replacements: dict[str, tf.Tensor] | None, _: str, *rest: Any) -> str:
        known = None if replacements is None else {name: self._here(value) for name, value in replacements.items()}
        with tempfile.TemporaryDirectory(prefix="fluent_pipe-") as folder:
            made = Path(_create_saved_model(known, folder, *rest))
            where = joined(self.url, uuid.uuid4().hex)
            files = [file for file in made.rglob("*") if file.is_file()]  # TFT's own metadata is hidden
            put({joined(where, file.relative_to(made).as_posix()): file for file in files})
        return where

    def _here(self, value: tf.Tensor) -> tf.Tensor:
        """A tensor that names a vocabulary, as one that names its copy on this machine."""
        if value.dtype != tf.string or value.shape.rank != 0:
            return value
        place = value.numpy().decode(errors="replace")
        return tf.constant(str(_file(place))) if place.startswith(f"{self.url}/") else value


class _Run(impl._RunMetaGraphDoFn):  # type: ignore[misc] # noqa: SLF001
    """Runs a graph that lies at a URL."""

    def _make_graph_state(self, saved_model_dir: str) -> Any:
        state = super()._make_graph_state(str(_folder(saved_model_dir)))
        state.saved_model_dir = saved_model_dir
        return state


def _infer(saved_model: str, *rest: Any) -> dataset_metadata.DatasetMetadata:
    return _infer_metadata(str(_folder(saved_model)), *rest)


@cache
def _folder(url: str) -> Path:
    """A copy of a folder, made once a process."""
    copy = scratch(url)
    fetched(url, copy, hidden=True)
    return copy


def _file(url: str) -> Path:
    parent, _, name = url.rpartition("/")
    copy = scratch(parent) / name
    get({url: copy})
    return copy
