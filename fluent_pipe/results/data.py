"""What steps about rows leave: examples, statistics, schema, anomalies, features."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fluent_pipe.artifacts import (
    Anomalies,
    Examples,
    Schema,
    Statistics,
    TransformGraph,
)
from fluent_pipe.errors import ArgumentError
from fluent_pipe.results.tables import Drawn, Tabular

if TYPE_CHECKING:
    import pyarrow as pa
    from markupsafe import Markup
    from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

    from fluent_pipe.display.anomalies import Trouble
    from fluent_pipe.display.charts import Embed


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

    def drawn(self, embed: Embed) -> Markup:
        from fluent_pipe.display.examples import draw_examples

        return draw_examples(self.artifact.facts(), embed)

    def __repr__(self) -> str:
        from fluent_pipe.display.examples import examples_text

        return examples_text(self.artifact.facts())


@dataclass(frozen=True, repr=False)
class StatisticsResult(Tabular[Statistics]):
    """TFDV statistics; one row a split and column.

    Parameters
    ----------
    artifact
        Where they lie.
    anomalies
        What ``validate`` found in them, drawn beside them; None if they were not validated.
    """

    anomalies: AnomaliesResult | None = None

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

    def drawn(self, embed: Embed) -> Markup:
        from fluent_pipe.display.statistics import draw_statistics

        return draw_statistics(self.protos(), embed, self._trouble())

    def __repr__(self) -> str:
        from fluent_pipe.display.statistics_text import statistics_text

        return statistics_text(self.protos(), self._trouble())

    def show(self, *, style: str = "table") -> None:
        """Draw it in the notebook's cell that runs, or print it.

        Parameters
        ----------
        style
            ``"table"``, or ``"facets"``: Google's Facets Overview, which comes with ``fluent-pipe[facets]``, works
            without a network and needs a notebook that is trusted. It adds 3 MB to the notebook.

        Raises
        ------
        ArgumentError
            If there is no such style.
        FluentPipeError
            If Facets is not installed.
        """
        if style not in (styles := ("table", "facets")):
            raise ArgumentError(f"There is no style {style!r}.", got=style, valid=styles)
        if style == "facets":
            Facets(self).show()
        else:
            super().show()

    def facets(self, path: str | Path) -> Path:
        """Write Google's Facets Overview of the splits as a page that needs nothing else; 3 MB.

        Parameters
        ----------
        path
            The HTML file.

        Raises
        ------
        FluentPipeError
            If Facets is not installed: ``pip install 'fluent-pipe[facets]'``.
        StoreError
            If the file cannot be written.
        """
        from fluent_pipe.display.facets import facets_page, write_page

        return write_page(facets_page(self.protos()), Path(path))

    def protos(self) -> dict[str, statistics_pb2.DatasetFeatureStatisticsList]:
        """TFDV's own protos by split."""
        return {split: self.proto(split) for split in self.splits}

    def _trouble(self) -> Trouble | None:
        from fluent_pipe.display.anomalies import Trouble

        return Trouble.from_facts(self.anomalies.artifact.facts()) if self.anomalies is not None else None


@dataclass(frozen=True, repr=False)
class Facets(Drawn):
    """Statistics as Facets Overview draws them, in a notebook."""

    statistics: StatisticsResult

    def drawn(self, embed: Embed) -> Markup:
        from fluent_pipe.display.facets import facets_frame, facets_page

        return facets_frame(facets_page(self.statistics.protos()))

    def __repr__(self) -> str:
        return (
            f"Facets Overview of {', '.join(self.statistics.splits)}: it is drawn in a notebook that is trusted.\n"
            "Elsewhere .facets('facets.html') writes it as a page."
        )


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
        return _schema(self.path / "schema.pbtxt")

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

    def drawn(self, embed: Embed) -> Markup:
        from fluent_pipe.display.schema import draw_schema

        return draw_schema(self.proto(), embed)

    def __repr__(self) -> str:
        from fluent_pipe.display.schema import schema_text

        return schema_text(self.proto())


def _schema(file: Path) -> schema_pb2.Schema:
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    return text_format.Parse(file.read_text(encoding="utf-8"), schema_pb2.Schema())


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

    def drawn(self, embed: Embed) -> Markup:
        from fluent_pipe.display.anomalies import draw_anomalies

        return draw_anomalies(self.artifact.facts(), embed)

    def __repr__(self) -> str:
        from fluent_pipe.display.anomalies import anomalies_text

        return anomalies_text(self.artifact.facts())


class TransformResult(Tabular[TransformGraph]):
    """The transform graph; one row a transformed feature."""

    def rows(self) -> list[dict[str, Any]]:
        """Feature, type, shape, kind and role."""
        facts = self.artifact.facts()
        roles = {facts["label"]: "label", facts["weight"]: "weight"}
        return [{"feature": n, **f, "role": roles.get(n, "")} for n, f in facts["features"].items()]

    @property
    def columns(self) -> dict[str, str]:
        """Types of the raw columns that go in, by name."""
        from fluent_pipe.display.schema import type_name

        return {f.name: type_name(f) for f in self._raw_schema().feature}

    @property
    def sources(self) -> dict[str, tuple[str, ...]]:
        """Raw columns that each feature is made of, by feature; empty where the stored graph does not tell."""
        from fluent_pipe.results.sources import read_sources

        columns = {f.name: f.HasField("shape") for f in self._raw_schema().feature}
        return read_sources(self.path / "transform_fn" / "saved_model.pb", columns)

    def _raw_schema(self) -> schema_pb2.Schema:
        from tensorflow_metadata.proto.v0 import schema_pb2

        file = self.path / "metadata" / "schema.pbtxt"
        return _schema(file) if file.is_file() else schema_pb2.Schema()

    def drawn(self, embed: Embed) -> Markup:
        from fluent_pipe.display.transform import draw_transform

        return draw_transform(self.artifact.facts(), self.columns, self.sources, embed)

    def __repr__(self) -> str:
        from fluent_pipe.display.transform import transform_text

        return transform_text(self.artifact.facts(), self.columns, self.sources)
