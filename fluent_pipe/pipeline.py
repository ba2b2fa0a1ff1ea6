"""The fluent value that the user holds: every call checks its arguments, appends a step and returns a new pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fluent_pipe.calls.data import DataCalls
from fluent_pipe.calls.delivery import DeliveryCalls
from fluent_pipe.calls.gates import GateCalls
from fluent_pipe.calls.model import ModelCalls
from fluent_pipe.calls.own import OwnCalls
from fluent_pipe.chain import LOADING
from fluent_pipe.errors import ArgumentError, OrderError

if TYPE_CHECKING:
    from fluent_pipe.display.terminal import Telling
    from fluent_pipe.results.pipeline import PlanResult
    from fluent_pipe.run import Run
    from fluent_pipe.runners.base import Runner


@dataclass(frozen=True, repr=False)
class Pipeline(DataCalls, ModelCalls, DeliveryCalls, GateCalls, OwnCalls):
    """A named chain of steps. Immutable: each call returns a new one, so prefixes can be shared and branched.

    Parameters
    ----------
    name
        Letters, digits, ``.``, ``_`` and ``-``; names the pipeline's folder under ``root``.
    root
        Folder of all results, or the URL where they lie: ``gs://bucket/results``, ``s3://bucket/results``. Default: the
        environment's ``FLUENT_PIPE_ROOT``, else ``.fluent_pipe``.
    metadata
        URL of the metadata store (``mysql://``, ``postgresql://``, ``sqlite:///``). Default: SQLite under ``root``, or
        in the folder on this machine that mirrors it.

    Examples
    --------
    >>> import fluent_pipe as fp
    >>> data = fp.Pipeline("flights").from_csv("flights.csv").generate_statistics()
    >>> data.infer_schema()
    Pipeline('flights'): from_csv -> generate_statistics -> infer_schema
    >>> data.preprocess(label="late")
    Traceback (most recent call last):
    fluent_pipe.errors.OrderError: preprocess() needs a schema. This pipeline so far: from_csv, generate_statistics. \
Call infer_schema() first.
    """

    # Switches

    def cache(self, enabled: bool) -> Pipeline:  # noqa: FBT001 - reads as a switch: .train(...).cache(False)
        """Switch the cache of the step just before on or off.

        Examples
        --------
        >>> Pipeline("p").from_csv("a.csv").cache(False).steps[-1].cached
        False
        """
        if not self.steps:
            raise OrderError("cache() switches the step before it. This pipeline has no step yet.")
        return replace(self, steps=(*self.steps[:-1], replace(self.steps[-1], cached=enabled)))

    def with_metadata(self, url: str) -> Pipeline:
        """Record in another ML Metadata store: ``mysql://``, ``postgresql://`` or ``sqlite:///``."""
        return replace(self, metadata=url)

    # Execution

    def plan(self, runner: Runner | str | None = None) -> PlanResult:
        """The steps in order with their cache state, and the Beam jobs that they form. Runs nothing.

        Parameters
        ----------
        runner
            As for :meth:`run`; the plan then says what this runner can do.
        """
        from fluent_pipe.run import plan

        return plan(self, runner)

    def explain(self, runner: Runner | str | None = None) -> None:
        """Print :meth:`plan`."""
        print(self.plan(runner))

    def run(
        self,
        runner: Runner | str | None = None,
        *,
        refresh: str | Sequence[str] = (),
        progress: bool = True,
    ) -> Run:
        """Run what is not cached.

        Parameters
        ----------
        runner
            Where the Beam jobs run: one of ``fp.runners``, or its name and flags as on a command line,
            ``"flink --parallelism=8"``. Default: the environment's ``FLUENT_PIPE_RUNNER``, else in this process.
        refresh
            Ids of steps to run although they are cached.
        progress
            Show progress on the terminal. Without it only what waits for a person is said.

        Returns
        -------
        Run
            Results, timings and verdicts. A model that is not blessed is not pushed; that is no error:
            ``run.state`` is then ``"not pushed"``, or ``"not scored"`` where only ``bulk_infer`` was refused. See
            :class:`~fluent_pipe.run.Run` for its other states.

        Raises
        ------
        FluentPipeError
            What went wrong, where, and what to do. Finished steps stay cached.
        Interrupted
            After Ctrl-C; a ``KeyboardInterrupt`` too.
        """
        from fluent_pipe.run import run

        again = self._refreshed(refresh, call="run")
        return run(self, runner=runner, refresh=again, telling="everything" if progress else "what matters")

    def show(
        self,
        runner: Runner | str | None = None,
        *,
        refresh: str | Sequence[str] = (),
        progress: bool = True,
        **options: Any,
    ) -> None:
        """Run what is not cached and draw what the last step left: in a notebook's cell, or as text.

        So each step of a chain can be looked at while the chain is written; what was run for it is cached.

        Parameters
        ----------
        runner, refresh
            As for :meth:`run`.
        progress
            Show progress, if there is something to run.
        options
            As ``show()`` of the result takes them, such as ``slice=`` and ``metric=`` of an evaluation.

        Raises
        ------
        ArgumentError
            Before anything runs, if the result takes no such option.
        AnomaliesFound
            As from :meth:`run`, once the anomalies are drawn.
        FluentPipeError, Interrupted
            As from :meth:`run`.

        Examples
        --------
        >>> Pipeline("p").from_csv("a.csv").generate_statistics().show(colour="red")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        fluent_pipe.errors.ArgumentError: What generate_statistics leaves is not shown by colour=. There are: ...
        """
        from fluent_pipe.run import show

        again = self._refreshed(refresh, call="show")
        telling: Telling = "work" if progress else "what matters"
        show(self, runner=runner, refresh=again, telling=telling, options=options)

    def _refreshed(self, refresh: str | Sequence[str], *, call: str) -> frozenset[str]:
        """The steps to run anew, if this is no file that is only being loaded."""
        if LOADING.get():
            raise ArgumentError(
                "This file runs its pipeline while it is loaded.",
                fix=f'Take .{call}() out, or put it under `if __name__ == "__main__":`.',
            )
        names = (refresh,) if isinstance(refresh, str) else tuple(refresh)
        for name in names:
            if name not in (ids := [s.id for s in self.steps]):
                raise ArgumentError(f"refresh= names no step {name!r}.", got=name, valid=ids)
        return frozenset(names)

    # How it draws itself

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        from fluent_pipe.display.charts import as_image
        from fluent_pipe.display.plan import draw_pipeline

        return {"text/plain": repr(self), "text/html": str(draw_pipeline(self.name, self.steps, as_image))}
