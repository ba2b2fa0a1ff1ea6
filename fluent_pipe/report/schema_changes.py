"""What differs between two TFDV schemas."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0 import schema_pb2


def schema_changes(before: schema_pb2.Schema, after: schema_pb2.Schema) -> list[dict[str, Any]]:
    """Column, what of it changed, before and after: columns, types, presence, values of domains."""
    old, new = _columns(before), _columns(after)
    rows: list[dict[str, Any]] = []
    for name in {**old, **new}:
        if name not in old or name not in new:
            words = ("there is none", "new column") if name not in old else ("there", "gone")
            rows.append({"column": name, "what": "column", "before": words[0], "after": words[1]})
            continue
        for what in {**old[name], **new[name]}:
            was, now = old[name].get(what), new[name].get(what)
            if was != now:
                rows.append({"column": name, "what": what, **_in_words(was, now)})
    return rows


def _columns(proto: Any) -> dict[str, dict[str, Any]]:
    from tensorflow_metadata.proto.v0 import schema_pb2

    domains = {d.name: frozenset(d.value) for d in proto.string_domain}
    found = {}
    for feature in proto.feature:
        own: dict[str, Any] = {"type": schema_pb2.FeatureType.Name(feature.type)}
        if feature.HasField("presence"):
            own["present in at least"] = f"{feature.presence.min_fraction:.4g} of rows"
        kind = feature.WhichOneof("domain_info")
        if kind == "domain":
            own["values"] = domains.get(feature.domain, frozenset())
        elif kind == "string_domain":
            own["values"] = frozenset(feature.string_domain.value)
        elif kind is not None:
            own["domain"] = " ".join(str(getattr(feature, kind)).split()) or kind
        found[feature.name] = own
    return found


def _in_words(was: Any, now: Any) -> dict[str, Any]:
    if isinstance(was, frozenset) and isinstance(now, frozenset):
        return {"before": _values("gone", was - now), "after": _values("new", now - was)}
    words = [f"{len(v)} values" if isinstance(v, frozenset) else v for v in (was, now)]
    return {"before": words[0], "after": words[1]}


def _values(word: str, values: Collection[str]) -> str | None:
    if not values:
        return None
    more = f" and {len(values) - 5} more" if len(values) > 5 else ""
    return f"{word}: {', '.join(sorted(values)[:5])}{more}"
