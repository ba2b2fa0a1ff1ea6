"""What steps about rows leave: examples, statistics, schema, anomalies, features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fluent_pipe.artifacts import (
    Anomalies,
    Examples,
    Schema,
    Statistics,
    TransformGraph,
)
from fluent_pipe.errors import ArgumentError
from fluent_pipe.results.tables import Tabular

if TYPE_CHECKING:
    import pyarrow as pa
    from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2


class ExamplesResult(Tabular[Examples]):
    """Typed rows by split."""

    def rows(self) -> list[dict[str, Any]]:
        """Split and row count."""
        return [{"split": name, "rows": split["rows"]} for name, split in self.artifact.facts()["splits"].items()]

    def table(self, split: str) -> pa.Table:
        """All rows of one split."""
        import pyarrow.parquet as pq

        if split not in (there := self.artifact.facts()["splits"]):
            raise ArgumentError(f"There is no split {split!r}.", got=split, valid=there)
        return pq.ParquetDataset([str(f) for f in self.artifact.files(split)], use_legacy_dataset=False).read()


class StatisticsResult(Tabular[Statistics]):
    """TFDV statistics; one row a split and column."""

    def proto(self, split: str) -> statistics_pb2.DatasetFeatureStatisticsList:
        """TFDV's own proto of one split."""
        from tensorflow_metadata.proto.v0 import statistics_pb2

        file = self.artifact.split(split) / "FeatureStats.pb"
        if not file.is_file():
            raise ArgumentError(f"There is no split {split!r}.", got=split, valid=self.splits)
        return statistics_pb2.DatasetFeatureStatisticsList.FromString(file.read_bytes())

    @property
    def splits(self) -> list[str]:
        """Names of the splits."""
        return sorted(p.name.removeprefix("Split-") for p in self.path.glob("Split-*"))

    def rows(self) -> list[dict[str, Any]]:
        """Key numbers by split and column; counts in values, shares in [0, 1]."""
        return [_statistics_row(split, f) for split in self.splits for f in self.proto(split).datasets[0].features]


def _statistics_row(split: str, feature: Any) -> dict[str, Any]:
    numeric = feature.WhichOneof("stats") == "num_stats"
    common = feature.num_stats.common_stats if numeric else feature.string_stats.common_stats
    rows = common.num_non_missing + common.num_missing
    number = feature.num_stats if numeric else None
    return {
        "split": split,
        "column": ".".join(feature.path.step) or feature.name,
        "type": feature.Type.Name(feature.type),
        "rows": rows,
        "missing": common.num_missing / rows if rows else 0.0,
        "mean": number.mean if number else None,
        "std": number.std_dev if number else None,
        "min": number.min if number else None,
        "median": number.median if number else None,
        "max": number.max if number else None,
        "unique": None if number else feature.string_stats.unique,
    }


class SchemaResult(Tabular[Schema]):
    """The TFDV schema; one row a column."""

    def proto(self) -> schema_pb2.Schema:
        """TFDV's own proto."""
        from google.protobuf import text_format
        from tensorflow_metadata.proto.v0 import schema_pb2

        return text_format.Parse((self.path / "schema.pbtxt").read_text(encoding="utf-8"), schema_pb2.Schema())

    def rows(self) -> list[dict[str, Any]]:
        """Column, type, presence and domain."""
        from tensorflow_metadata.proto.v0 import schema_pb2

        schema = self.proto()
        domains = {d.name: len(d.value) for d in schema.string_domain}
        return [
            {
                "column": f.name,
                "type": schema_pb2.FeatureType.Name(f.type),
                "required": f.presence.min_fraction == 1.0,
                "domain": f"{domains[f.domain]} values" if f.domain in domains else "",
            }
            for f in schema.feature
        ]


class AnomaliesResult(Tabular[Anomalies]):
    """What ``validate`` found; one row an anomaly."""

    def rows(self) -> list[dict[str, Any]]:
        """Split, column, anomaly and detail."""
        return [dict(a) for a in self.artifact.facts()["anomalies"]]

    @property
    def drift(self) -> list[dict[str, Any]]:
        """Measured distances and their limits, also those within the limit."""
        return [dict(d) for d in self.artifact.facts()["drift"]]

    @property
    def notes(self) -> list[str]:
        """Comparisons that were asked for and could not be made, and why."""
        return list(self.artifact.facts()["notes"])

    def __repr__(self) -> str:
        return "\n".join([super().__repr__() if self.rows() else "no anomalies", *self.notes])


class TransformResult(Tabular[TransformGraph]):
    """The transform graph; one row a transformed feature."""

    def rows(self) -> list[dict[str, Any]]:
        """Feature, type, shape, kind and role."""
        facts = self.artifact.facts()
        roles = {facts["label"]: "label", facts["weight"]: "weight"}
        return [{"feature": n, **f, "role": roles.get(n, "")} for n, f in facts["features"].items()]
