"""Calls that decide whether later steps run, and that hear how a run ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fluent_pipe.chain import Chain
from fluent_pipe.errors import OrderError
from fluent_pipe.steps.gates import Condition, Hook, of_one

if TYPE_CHECKING:
    from typing_extensions import Self

    from fluent_pipe.hooks import Failure
    from fluent_pipe.run import Run


@dataclass(frozen=True, repr=False)
class GateCalls(Chain):
    """Calls that decide whether later steps run, and that hear how a run ended."""

    def when(self, condition: Callable[[Run], bool] | str) -> Self:
        """Guard every later call: its step runs, or is taken from the cache, if the condition holds.

        Else these steps are skipped, and the run succeeds without them: ``run.skipped`` says why. The condition is no
        part of any cache key; it is asked in each run, once, in this process.

        Parameters
        ----------
        condition
            ``condition(run)`` that returns True or False, from the results of the calls before it. A second
            :meth:`when` guards what follows it beside the first. Also as a module file with a function ``when``, or
            ``"module:function"``.

        Raises
        ------
        UserCodeError
            At the run, if the condition raises or returns something else; names function, file and line.

        Examples
        --------
        >>> import fluent_pipe as fp
        >>> def many(run):
        ...     return run.examples.rows()[0]["rows"] > 1000
        >>> data = fp.Pipeline("p", root="nowhere").from_csv("a.csv").when(many).generate_statistics()
        >>> data.explain()
        Pipeline p: 2 steps, 2 Beam jobs to run
          from_csv             job 1   no published result has its key
          generate_statistics  job 2   after from_csv; if many holds
        """
        if not self.steps:
            raise OrderError(
                "when() looks at earlier results. This pipeline so far: nothing.",
                fix="Call from_csv() or another source first.",
            )
        made = Condition(of_one(condition, "when", "the run so far"), tuple(s.id for s in self.steps))
        return replace(self, conditions=(*self.conditions, made))

    def on_success(self, function: Callable[[Run], Any] | str) -> Self:
        """Call a function when a run has ended without an error, wherever in the chain this stands.

        Parameters
        ----------
        function
            ``function(run)``; ``run.state`` may also be ``"not pushed"``. An error in it is told on the terminal and
            in the log, and changes nothing. Several are called in turn.
        """
        return self._heard(Hook("success", of_one(function, "on_success", "the run")))

    def on_failure(self, function: Callable[[Failure], Any] | str) -> Self:
        """Call a function when a run has ended with an error, wherever in the chain this stands.

        Not after Ctrl-C, and not for what is wrong before a run begins, such as a root that cannot be written.

        Parameters
        ----------
        function
            ``function(failure)`` with a :class:`fluent_pipe.Failure`. An error in it is told on the terminal and in the
            log; ``run()`` raises the run's own. Several are called in turn.
        """
        return self._heard(Hook("failure", of_one(function, "on_failure", "the failure")))

    def _heard(self, hook: Hook) -> Self:
        return replace(self, hooks=(*self.hooks, hook))
