"""Several observers as one."""

from __future__ import annotations

from collections.abc import Collection

from fluent_pipe.execution import Observer, RunState, StepState


class Observers(Observer):
    """Several observers, told in turn."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def started(self, steps: Collection[str]) -> None:
        for observer in self._observers:
            observer.started(steps)

    def job(self, steps: Collection[str]) -> None:
        for observer in self._observers:
            observer.job(steps)

    def changed(self, step: str, state: StepState, *, seconds: float | None = None, note: str = "") -> None:
        for observer in self._observers:
            observer.changed(step, state, seconds=seconds, note=note)

    def said(self, step: str, words: str) -> None:
        for observer in self._observers:
            observer.said(step, words)

    def ended(self, state: RunState) -> None:
        for observer in self._observers:
            observer.ended(state)
