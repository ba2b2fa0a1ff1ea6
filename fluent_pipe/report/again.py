"""How to make a run again: the expression, versions, keys, and where it ran."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from fluent_pipe.display.charts import inline
from fluent_pipe.display.markup import joined, tag
from fluent_pipe.display.tables import html_table
from fluent_pipe.report.blanking import blanked
from fluent_pipe.report.past import PastRun


def draw_again(run: PastRun) -> Markup:
    """What was recorded of the run when it began, as far as it was."""
    properties = run.stored.properties
    expression = properties.get("expression")
    keys = [{"step": step, "cache key": tag("code", key)} for step, key in run.keys.items()]
    return joined(
        tag("pre", tag("code", blanked(str(expression)))) if expression else None,
        facts(
            {
                "run": run.stored.id,
                "shown by": tag("code", f"fluent-pipe show {run.stored.id}"),
                "command": _code(properties.get("command")),
                "in": _code(properties.get("folder")),
                "commit": _code(_commit(properties.get("commit"))),
                "runner": _code(properties.get("runner")),
                "host": properties.get("host"),
                "results": _code(str(run.folder.parent.parent)),
                "log": _code(str(run.folder / "log.txt")),
                "versions": _versions(properties.get("versions")),
            }
        ),
        tag("details", tag("summary", f"Cache keys of {len(keys)} steps"), html_table(keys, inline)) if keys else None,
    )


def facts(found: Mapping[str, Any]) -> Markup:
    """Names and values, those that there are."""
    return tag("dl", (joined(tag("dt", k), tag("dd", v)) for k, v in found.items() if v), class_="facts")


def _code(value: object) -> Markup | None:
    return tag("code", blanked(str(value))) if value else None


def _commit(name: object) -> str:
    commit = str(name or "")
    clean = commit.removesuffix("-dirty")
    return f"{clean}, and files that have changed since" if clean != commit else commit


def _versions(text: object) -> str:
    try:
        found = json.loads(str(text or "{}"))
    except ValueError:
        return ""
    return ", ".join(f"{name} {version}" for name, version in found.items()) if isinstance(found, dict) else ""
