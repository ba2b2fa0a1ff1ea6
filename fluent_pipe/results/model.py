"""What steps that make a model leave: trials, and the history of training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fluent_pipe.artifacts import HyperParameters, Model
from fluent_pipe.results.tables import Tabular

if TYPE_CHECKING:
    from markupsafe import Markup

    from fluent_pipe.display.charts import Embed


class TrialsResult(Tabular[HyperParameters]):
    """What ``tune`` tried; one row a trial."""

    @property
    def best(self) -> dict[str, Any]:
        """The best hyperparameters by name: of the best trial, or of the file that was given."""
        return dict(self.artifact.facts()["values"])

    @property
    def notes(self) -> list[str]:
        """What is worth knowing of the search as a whole, such as that nothing was improved."""
        return list(self.artifact.facts()["notes"])

    def rows(self) -> list[dict[str, Any]]:
        """Trial, state, score, seconds, hyperparameters, metrics of the best epoch, and why a trial failed."""
        trials = self.artifact.facts()["trials"]
        own = ("trial", "state", "score", "seconds", "reason")
        named = list(dict.fromkeys(n for t in trials for n in t["hyperparameters"]))
        metrics = list(dict.fromkeys(n for t in trials for n in t["metrics"]))
        return [
            {
                "trial": t["id"],
                "state": t["state"],
                "score": t["score"],
                "seconds": t["seconds"],
                **{f"hp/{n}" if n in (*own, *metrics) else n: t["hyperparameters"].get(n) for n in named},
                **{n: t["metrics"].get(n) for n in metrics},
                "reason": t["reason"],
            }
            for t in trials
        ]

    def drawn(self, embed: Embed) -> Markup:
        from fluent_pipe.display.trials import draw_trials

        return draw_trials(self.artifact.facts(), embed)

    def __repr__(self) -> str:
        from fluent_pipe.display.trials import trials_text

        return trials_text(self.artifact.facts())


class ModelResult(Tabular[Model]):
    """The trained model; one row an epoch."""

    @property
    def serving(self) -> Path:
        """The SavedModel."""
        return self.artifact.serving

    def rows(self) -> list[dict[str, Any]]:
        """Epoch and the metrics that Keras reported."""
        from fluent_pipe.display.training import epoch_rows

        return epoch_rows(self.artifact.facts()["history"])

    @property
    def warm_start(self) -> dict[str, Any] | None:
        """The earlier model that its weights come from, and the words of vocabularies that changed; None if none."""
        began = self.artifact.facts().get("warm_start")
        return dict(began) if began and began["from"] else None

    def drawn(self, embed: Embed) -> Markup:
        from fluent_pipe.display.training import draw_training

        return draw_training(self.artifact.facts(), embed)

    def __repr__(self) -> str:
        from fluent_pipe.display.training import training_text

        return training_text(self.artifact.facts())
