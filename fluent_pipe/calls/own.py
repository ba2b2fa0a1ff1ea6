"""Calls that take the user's own code into the chain: components, filters and maps of rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fluent_pipe.artifacts import Examples
from fluent_pipe.chain import Chain
from fluent_pipe.errors import OrderError
from fluent_pipe.steps.functions import UserFunction
from fluent_pipe.steps.own import Apply, Filter, Map, RowExpression
from fluent_pipe.steps.sources import Source
from fluent_pipe.steps.user_components import Component, UserComponent

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc
    from typing_extensions import Self


@dataclass(frozen=True, repr=False)
class OwnCalls(Chain):
    """Calls that take the user's own code into the chain."""

    def filter(self, function: Callable[[pa.RecordBatch], Any] | pc.Expression | str) -> Self:
        """Keep some of the rows, before anything looks at them.

        Parameters
        ----------
        function
            ``function(batch)`` that returns a truth value for each row of the Arrow batch, as an Arrow or numpy array,
            or a ``pyarrow.compute`` expression; or such an expression itself: ``pc.field("miles") > 0``. A row whose
            truth value is null is dropped. Also a module file that holds ``filter_rows``, or ``"module:function"``.

        Raises
        ------
        OrderError
            If a step has looked at the rows already.
        """
        expression = type(function).__name__ == "Expression"
        own = RowExpression.of(function) if expression else UserFunction.of(function, name="filter_rows", call="filter")
        examples = self._rows("filter")
        return self._then(Filter(id=self._id("filter"), examples=examples, split_names=self._splits, function=own))

    def map(self, function: Callable[[pa.RecordBatch], Any] | str) -> Self:
        """Change columns, before anything looks at the rows.

        What the model needs when it serves belongs in :meth:`preprocess`: a served model sees rows as they come.

        Parameters
        ----------
        function
            ``function(batch)`` that returns an Arrow record batch, or a table, of as many rows, in their order: columns
            may be added, dropped, or change their type, but are the same for every batch. How rows are cut into batches
            is not fixed. Also a module file that holds ``map_rows``, or ``"module:function"``.

        Raises
        ------
        OrderError
            If a step has looked at the rows already.
        """
        source = next((s for s in self.steps if isinstance(s, Source)), None)
        return self._then(
            Map(
                examples=self._rows("map"),
                id=self._id("map"),
                split_names=self._splits,
                function=UserFunction.of(function, name="map_rows", call="map"),
                partition_by=source.partition_by if source else None,
            )
        )

    def apply(self, component: UserComponent | Component | type[Component]) -> Self:
        """Add a component of your own: typed, cached and recorded like any other.

        Its step is called by its name in snake case. What it leaves is had with ``run.artifact(Type)``.

        Parameters
        ----------
        component
            A function decorated with :func:`fluent_pipe.component`, or a subclass of
            :class:`fluent_pipe.Component`; with arguments: ``apply(longest_trips(count=5))``.

        Raises
        ------
        OrderError
            If the pipeline does not make one of its inputs, or it leaves Examples and there is no source.
        ArgumentError
            If it is no component, or an argument is missing.
        """
        own = UserComponent.of(component)
        given = tuple((name, self._ref(kind, own.name)) for name, kind in own.inputs)
        if Examples in own.outputs:
            self._ref(Examples, own.name)  # they have the splits of the source
        return self._then(Apply(id=self._id(own.name), component=own, given=given, split_names=self._splits))

    def _rows(self, call: str) -> Any:
        examples = self._ref(Examples, call)
        looked = next((s for s in self.steps if not isinstance(s, (Source, Filter, Map, Apply))), None)
        if looked is not None:
            raise OrderError(
                f"{call}() must come before {looked.id}(), which looks at the rows. "
                f"This pipeline so far: {self._so_far}.",
                fix=f"Call {call}() right after the source.",
            )
        return examples
