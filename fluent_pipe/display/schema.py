"""A TFDV schema drawn: what each column must be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from markupsafe import Markup

from fluent_pipe.display.anomalies import MEASURES
from fluent_pipe.display.charts import Embed, short
from fluent_pipe.display.markup import joined, tag
from fluent_pipe.display.tables import html_table
from fluent_pipe.display.text import counted, one_line, share_in_words, text_table

COLUMNS = 200
VALUES = 8


def draw_schema(schema: Any, embed: Embed) -> Markup:
    """What a ``Schema`` asks of each column, as a table.

    Parameters
    ----------
    schema
        TFDV's proto.
    embed
        How charts get into it.
    """
    rows = [{**row, "column": tag("b", tag("bdi", row["column"]))} for row in islice(_rows(schema), COLUMNS)]
    return joined(
        tag("p", _counted(schema), style="margin:4px 0"),
        html_table(rows, embed, _columns(rows)) if rows else None,
        (tag("p", note, style="margin:4px 0") for note in _notes(schema)),
    )


def schema_text(schema: Any) -> str:
    """What a ``Schema`` asks of each column, for a terminal."""
    rows = [
        {name: one_line(str(value), 28 if name == "column" else 60) for name, value in row.items()}
        for row in islice(_rows(schema), COLUMNS)
    ]
    columns = _columns(rows)
    room = 100 - sum(max(len(c), *(len(r[c]) for r in rows)) + 2 for c in columns if c != "domain") if rows else 0
    for row in rows:
        row["domain"] = one_line(row["domain"], max(room, 20))
    table = [text_table(rows, columns)] if rows else []
    return "\n".join([_counted(schema), *table, *_notes(schema)])


def _columns(rows: list[dict[str, Any]]) -> list[str]:
    """Those that say something of any column."""
    return [name for name in (rows[0] if rows else ()) if any(row[name] for row in rows)]


def _rows(schema: Any) -> Iterator[dict[str, Any]]:
    domains = {domain.name: domain for domain in schema.string_domain}
    for feature in schema.feature:
        yield {
            "column": feature.name,
            "type": type_name(feature),
            "presence": _presence(feature),
            "values a row": _values_a_row(feature),
            "domain": _domain(feature, domains),
            "limits": _limits(feature),
            "more": _more(feature),
        }


def type_name(feature: Any) -> str:
    """TFDV's type of a column of a schema."""
    return str(feature.DESCRIPTOR.fields_by_name["type"].enum_type.values_by_number[feature.type].name)


def _presence(feature: Any) -> str:
    if feature.HasField("group_presence"):
        return "required with its group" if feature.group_presence.required else "with its group"
    least = feature.presence.min_fraction
    if least == 1.0:
        return "required"
    return f"{share_in_words(least)} of rows or more" if least > 0 else "optional"


def _values_a_row(feature: Any) -> str:
    if feature.HasField("shape"):
        return " × ".join(str(dim.size) for dim in feature.shape.dim) or "1 (scalar)"
    counts = [feature.value_count] if feature.HasField("value_count") else list(feature.value_counts.value_count)
    return ", each ".join(_count(c) for c in counts)


def _count(count: Any) -> str:
    least, most = count.min, count.max
    if least and least == most:
        return f"{least:,}"
    return f"{least:,} to {most:,}" if most else f"{least:,} or more"


def _domain(feature: Any, domains: dict[str, Any]) -> str:
    kind = feature.WhichOneof("domain_info")
    if kind is None:
        return ""
    if kind == "domain" and feature.domain not in domains:
        return f"{feature.domain}, which the schema does not have"
    own = domains[feature.domain] if kind == "domain" else getattr(feature, kind)
    if kind in ("domain", "string_domain"):
        return _values(own.value)
    if kind in ("int_domain", "float_domain"):
        return _range(own)
    if kind == "bool_domain":
        return f"{own.true_value or 'true'} or {own.false_value or 'false'}"
    return str(kind).removesuffix("_domain").replace("_", " ")


def _values(values: Iterable[str]) -> str:
    every = list(values)
    first = ", ".join(one_line(value or "(empty)", 24) for value in every[:VALUES])
    more = f", … {len(every) - VALUES:,} more" if len(every) > VALUES else ""
    return counted(len(every), "value") + (f": {first}{more}" if every else "")


def _range(domain: Any) -> str:
    ends = [short(getattr(domain, end)) if domain.HasField(end) else "" for end in ("min", "max")]
    words = ["categories"] if getattr(domain, "is_categorical", 0) else []
    if all(ends):
        words.append(f"{ends[0]} to {ends[1]}")
    elif any(ends):
        words.append(f"{ends[0]} or more" if ends[0] else f"{ends[1]} or less")
    words += ["no NaN"] if getattr(domain, "disallow_nan", False) else []
    words += ["no infinity"] if getattr(domain, "disallow_inf", False) else []
    return ", ".join(words)


def _limits(feature: Any) -> str:
    found = []
    for kind in ("drift", "skew"):
        comparator = getattr(feature, f"{kind}_comparator")
        found += [
            f"{kind}: {words} ≤ {getattr(comparator, measure).threshold:.3g}"
            for measure, words in MEASURES.items()
            if measure in comparator.DESCRIPTOR.fields_by_name and comparator.HasField(measure)
        ]
    return "; ".join(found)


def _more(feature: Any) -> str:
    words = []
    if feature.lifecycle_stage:
        stages = feature.DESCRIPTOR.fields_by_name["lifecycle_stage"].enum_type.values_by_number
        words.append(stages[feature.lifecycle_stage].name.lower().replace("_", " "))
    words += ["deprecated"] if feature.deprecated else []
    if feature.in_environment:
        words.append(f"only in {', '.join(feature.in_environment)}")
    if feature.not_in_environment:
        words.append(f"not in {', '.join(feature.not_in_environment)}")
    mass = feature.distribution_constraints.min_domain_mass
    if feature.HasField("distribution_constraints") and mass < 1:
        words.append(f"{share_in_words(mass)} of values or more in the domain")
    if feature.HasField("unique_constraints"):
        unique = feature.unique_constraints
        words.append(f"{unique.min:,} to {unique.max:,} distinct values")
    return "; ".join(words)


def _counted(schema: Any) -> str:
    required = sum(feature.presence.min_fraction == 1.0 for feature in schema.feature)
    return f"{counted(len(schema.feature), 'column')}, {required:,} required"


def _notes(schema: Any) -> Iterator[str]:
    if (more := len(schema.feature) - COLUMNS) > 0:
        yield f"And {more:,} more columns: to_frame() has them all."
    if schema.default_environment:
        yield f"Environments: {', '.join(one_line(e, 40) for e in schema.default_environment)}."
    for kind in ("sparse_feature", "weighted_feature"):
        if names := [one_line(each.name, 40) for each in getattr(schema, kind)]:
            yield f"{kind.split('_')[0].capitalize()} features: {', '.join(names)}."
    if schema.HasField("dataset_constraints"):
        yield "The schema limits the number of rows too: proto().dataset_constraints."
