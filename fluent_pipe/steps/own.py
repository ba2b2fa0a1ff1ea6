"""Steps that do what the user wrote: a component, a filter, a map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from fluent_pipe.artifacts import TYPES, Anomalies, Examples
from fluent_pipe.errors import AnomaliesFound, FluentPipeError
from fluent_pipe.steps.base import ArtifactType, Ref, Step, streams
from fluent_pipe.steps.functions import UserFunction
from fluent_pipe.steps.user_components import UserComponent


@dataclass(frozen=True, kw_only=True)
class Apply(Step):
    """``apply``: a component of the user's own.

    Parameters
    ----------
    component
        What is called, with its arguments.
    given
        Its inputs.
    split_names
        Of the pipeline; Examples that it leaves have these splits.
    """

    component: UserComponent
    given: tuple[tuple[str, Ref[Any]], ...] = ()
    split_names: tuple[str, ...] = ()

    call: ClassVar[str] = "apply"

    @property
    def produces(self) -> tuple[ArtifactType, ...]:  # type: ignore[override]  # each component leaves its own
        """What the component leaves."""
        return self.component.outputs

    @property
    def gates(self) -> bool:  # type: ignore[override]  # each component says
        """True for a function, not to be called again because a later step failed, and for what does not flow."""
        own = self.component
        return not own.builds or (not own.flows and any(kind in TYPES.values() for kind in own.outputs))

    def inputs(self) -> dict[str, Ref[Any]]:
        return dict(self.given)

    def needed(self) -> frozenset[str]:
        flowing = Examples if self.component.builds else None
        return frozenset(ref.step for _, ref in self.given if ref.type is not flowing)

    def arguments(self) -> dict[str, Any]:
        own = self.component
        instance = getattr(own.function, "__self__", None)
        return {
            "name": own.name,
            "function": UserFunction(own.function if instance is None else type(instance), own.name),
            # Not the instance itself: the module of its type is another one in a script than on the command line.
            "fields": getattr(instance, "__dict__", instance),
            "inputs": tuple((name, kind.__name__) for name, kind in own.inputs),
            "outputs": tuple(kind.__name__ for kind in own.outputs),
            "version": own.version,
            "arguments": own.arguments,
        }

    def refused(self, facts: Mapping[str, Any]) -> FluentPipeError | None:
        if self.produces[0] is not Anomalies or facts["passed"]:
            return None
        return AnomaliesFound(f"{self.component.name} found anomalies.", where=self.component.where, step=self.id)


@dataclass(frozen=True)
class RowExpression:
    """A ``pyarrow.compute`` expression, compared by its content.

    Parameters
    ----------
    text
        For people.
    pickled
        The expression.
    """

    text: str
    pickled: bytes

    @classmethod
    def of(cls, expression: Any) -> RowExpression:
        """Of a ``pyarrow.compute.Expression``."""
        import pickle

        return cls(str(expression), pickle.dumps(expression))


@dataclass(frozen=True, kw_only=True)
class Filter(Step):
    """``filter``: the rows that a function, or an expression, says to keep."""

    examples: Ref[Examples] = streams()
    split_names: tuple[str, ...] = ()
    function: UserFunction | RowExpression

    call: ClassVar[str] = "filter"
    produces: ClassVar[tuple[type[Examples], ...]] = (Examples,)


@dataclass(frozen=True, kw_only=True)
class Map(Step):
    """``map``: each batch as a function returns it.

    Parameters
    ----------
    partition_by
        Column that decides the split, which the function must leave as it is.
    """

    examples: Ref[Examples] = streams()
    split_names: tuple[str, ...] = ()
    function: UserFunction
    partition_by: str | None = None

    call: ClassVar[str] = "map"
    produces: ClassVar[tuple[type[Examples], ...]] = (Examples,)
