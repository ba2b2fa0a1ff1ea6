"""``infer_schema``, ``with_schema`` and ``curate_schema``: a TFDV schema as ``schema.pbtxt``."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam
import tensorflow_data_validation as tfdv
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from fluent_pipe.components.base import Component, Context, Live, once
from fluent_pipe.components.inputs import SchemaInput, StatisticsInput
from fluent_pipe.components.statistics import split_names, together
from fluent_pipe.components.statistics_protos import all_rows, common, name_of
from fluent_pipe.errors import FluentPipeError, InputError, UserCodeError
from fluent_pipe.steps import data
from fluent_pipe.steps.functions import UserFunction


class InferSchema(Component):
    """A schema by TFDV's inference over all splits taken together.

    TFX infers from ``train`` alone. Then any rare value that chance put into ``eval`` only is an anomaly, and a first
    run on real data fails for a reason that nobody can act on: the splits are one input. Here the counts of the
    splits are added up and TFDV infers once from the sum, so what the splits hold between them is the schema. A
    later input is held against it by fixing it: ``with_schema(path)``. ``tfdv.update_schema`` for the other splits is
    no way there: it lets domains outgrow their limit and declares a column that one split lacks deprecated.

    Parameters
    ----------
    step
        What was asked for; ``split`` comes first in the sum, so its columns give the schema's order.
    context
        Where to write: ``schema.pbtxt``.
    statistics
        Statistics of every split.
    """

    def __init__(self, step: data.InferSchema, context: Context, statistics: StatisticsInput) -> None:
        super().__init__(context)
        self.step = step
        self.statistics = statistics

    def build(self, pipeline: beam.Pipeline) -> Live:
        """The schema, under ``""``."""
        others = [split for split in split_names(self.statistics) if split != self.step.split]
        sides = [beam.pvalue.AsSingleton(self.statistics.read(pipeline, split)) for split in (self.step.split, *others)]
        infer = _Infer(self.context, self.step.infer_shape, self.step.max_domain)
        return {"": once(pipeline, "InferSchema", self.context, infer, *sides)}


@dataclass(frozen=True)
class _Infer:
    context: Context
    shape: bool
    max_domain: int

    def __call__(self, *statistics: statistics_pb2.DatasetFeatureStatisticsList) -> schema_pb2.Schema:
        return write_schema(self.context, infer(statistics, shape=self.shape, max_domain=self.max_domain))


def infer(
    statistics: Sequence[statistics_pb2.DatasetFeatureStatisticsList], *, shape: bool, max_domain: int
) -> schema_pb2.Schema:
    """The schema that all splits satisfy, by TFDV's inference over their sum.

    Parameters
    ----------
    statistics
        Of each split.
    shape
        Give columns that are never missing a fixed shape.
    max_domain
        Most distinct values of a string column that still gets a domain.
    """
    splits = [all_rows(s) for s in statistics]
    schema = tfdv.infer_schema(together(splits), infer_feature_shape=shape, max_string_domain_size=max_domain)
    present = [
        {name_of(f) for f in split.features if common(f).num_non_missing} for split in splits if split.num_examples
    ]
    for feature in schema.feature:
        # A column that a whole split lacks is not expected of every input.
        if any(feature.name not in names for names in present):
            feature.presence.min_count = 0
    return schema


class WithSchema(Component):
    """A schema that the user wrote or kept.

    Raises
    ------
    InputError
        When built, if the file does not exist, is not a schema in protobuf's text format, or names no column.
    """

    def __init__(self, step: data.WithSchema, context: Context) -> None:
        super().__init__(context)
        self.step = step

    def build(self, pipeline: beam.Pipeline) -> Live:
        """The schema, under ``""``."""
        schema = read_schema(Path(self.step.path))
        return {"": once(pipeline, "WithSchema", self.context, _Give(self.context), schema.SerializeToString())}


@dataclass(frozen=True)
class _Give:
    context: Context

    def __call__(self, schema: bytes) -> schema_pb2.Schema:
        return write_schema(self.context, schema_pb2.Schema.FromString(schema))


class CurateSchema(Component):
    """The schema after the user's function.

    Parameters
    ----------
    step
        Its function gets a ``schema_pb2.Schema``, which it may change in place, and returns nothing or a schema.
    context
        Where to write: ``schema.pbtxt``.
    schema
        The schema to begin with.

    Raises
    ------
    UserCodeError
        While the job runs, if the function raises or returns something else.
    """

    def __init__(self, step: data.CurateSchema, context: Context, schema: SchemaInput) -> None:
        super().__init__(context)
        self.step = step
        self.schema = schema

    def build(self, pipeline: beam.Pipeline) -> Live:
        """The curated schema, under ``""``."""
        before = beam.pvalue.AsSingleton(self.schema.read(pipeline))
        # Two curations in one pipeline need two labels.
        label = f"CurateSchema[{self.context.step}]"
        return {"": once(pipeline, label, self.context, _Curate(self.context, self.step.function), before)}


@dataclass(frozen=True)
class _Curate:
    context: Context
    function: UserFunction

    def __call__(self, before: schema_pb2.Schema) -> schema_pb2.Schema:
        schema = schema_pb2.Schema()
        schema.CopyFrom(before)
        function = self.function.resolve()
        try:
            returned = function(schema)
        except FluentPipeError:
            raise
        except Exception as error:
            raise UserCodeError(
                f"{self.function.name} raised {type(error).__name__}: {error}", where=_raised_at(error, self.function)
            ) from error
        if returned is not None and not isinstance(returned, schema_pb2.Schema):
            raise UserCodeError(
                f"{self.function.name} returned {type(returned).__name__}.",
                where=self.function.where,
                fix="Change the schema in place and return nothing, or return a schema_pb2.Schema.",
            )
        return write_schema(self.context, schema if returned is None else returned)


def _raised_at(error: Exception, function: UserFunction) -> str:
    """File and line in the user's code; the rest of the stack is the library that it called."""
    frames = traceback.extract_tb(error.__traceback__)[1:]
    code = getattr(function.resolve(), "__code__", None)
    own = [frame for frame in frames if code is not None and frame.filename == code.co_filename] or frames[:1]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else function.where


def write_schema(context: Context, schema: schema_pb2.Schema) -> schema_pb2.Schema:
    """Write ``schema.pbtxt`` into the context's folder; the schema is handed on."""
    (context.folder / "schema.pbtxt").write_text(text_format.MessageToString(schema), encoding="utf-8")
    return schema


def read_schema(path: Path) -> schema_pb2.Schema:
    """The schema in a user's ``.pbtxt`` file.

    Raises
    ------
    InputError
        If the file cannot be read, is no schema (with the line), or names no column.
    """
    try:
        schema = text_format.Parse(path.read_text(encoding="utf-8"), schema_pb2.Schema())
    except FileNotFoundError as error:
        near = [p.name for p in sorted(path.parent.glob("*.pbtxt"))]
        raise InputError(f"There is no schema file {str(path)!r}.", got=path.name, valid=near) from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The schema file cannot be read: {error}.", where=str(path)) from error
    except text_format.ParseError as error:
        line = error.GetLine()
        reason = str(error).partition(" : ")[2] or str(error)
        raise InputError(
            f"This is no TFDV schema in protobuf's text format: {reason.rstrip('.')}.",
            where=f"{path}:{line}" if line else str(path),
            fix="tfdv.write_schema_text() and a run's schema.pbtxt are examples of the format.",
        ) from error
    if not schema.feature:
        fix = "Keep the schema.pbtxt of a run and change that."
        raise InputError("The schema names no column.", where=str(path), fix=fix)
    return schema
