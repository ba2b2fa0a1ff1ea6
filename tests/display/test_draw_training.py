"""Training as a picture: a chart a metric, the best epoch marked."""

import pytest

from fluent_pipe.display.charts import as_image
from fluent_pipe.display.training import best_epoch, draw_training, training_text
from tests.display.model_facts import HOSTILE, checked, tame


def trained(epochs, **more):
    history = {
        "loss": [1 / (1 + e) for e in range(epochs)],
        "auc": [0.9 - 0.4 / (1 + e) for e in range(epochs)],
        "val_loss": [abs(e - 3) / 10 + 0.3 for e in range(epochs)],
        "val_auc": [0.8 - 0.3 / (1 + e) for e in range(epochs)],
    }
    return {"history": history, "epochs": epochs, "seconds": 12.5, **more}


def test_a_metric_has_one_chart_with_both_lines_and_the_loss_stands_first():
    drawn = draw_training(trained(10), checked)
    page = tame(drawn)
    assert page.elements.count("svg") == 2
    assert page.text.index("loss over 10 epochs") < page.text.index("auc over 10 epochs")
    assert page.words.count("train") == page.words.count("validation") == 2
    assert "best: epoch 4" in page.text
    assert "10 epochs in 12.5 s, best val_loss 0.3 at epoch 4" in page.text


@pytest.mark.parametrize("epochs", [1, 2, 1000])
def test_one_epoch_is_a_point_and_a_thousand_are_few_bytes(epochs):
    drawn = draw_training(trained(epochs), checked)
    assert drawn.count("<circle") == (4 * epochs if epochs <= 12 else 0)
    assert len(drawn) < 60_000
    assert ("... and 900 more epochs" in tame(drawn).text) == (epochs == 1000)
    assert all(len(line) <= 100 for line in training_text(trained(epochs)).splitlines())


def test_a_loss_that_is_not_a_number_is_a_gap_and_is_told():
    facts = trained(5)
    facts["history"]["val_loss"] = [0.5, float("nan"), 0.4, float("inf"), float("nan")]
    assert best_epoch(facts["history"]) == ("val_loss", 2)
    assert "val_loss is not a finite number in 3 of 5 epochs." in tame(draw_training(facts, checked)).text
    assert "▁" in training_text(facts)
    facts["history"] = {"loss": [float("nan")] * 5}
    assert "no number is finite" in tame(draw_training(facts, checked)).text
    assert best_epoch(facts["history"]) is None


def test_a_function_of_ones_own_leaves_no_history():
    facts = {"history": {}, "epochs": 0, "seconds": 3.0}
    assert "No history" in tame(draw_training(facts, checked)).text
    assert training_text(facts) == "trained in 3 s"


def test_a_warm_start_says_what_became_of_words():
    began = {"from": "20260101-000000-abc", "mapped": {"city": {"kept": 3, "new": 1, "gone": 0}}, "note": ""}
    facts = trained(3, warm_start=began)
    for text in (training_text(facts), tame(draw_training(facts, checked)).text):
        assert "Warm start from 20260101-000000-abc." in text
        assert "city: 3 words kept, 1 words new, 0 words gone" in text
    began.update({"from": None, "mapped": {}, "note": "There is no earlier model."})
    assert "There is no earlier model." in training_text(facts)


def test_names_are_data():
    facts = trained(3, hyperparameters=dict.fromkeys(HOSTILE, HOSTILE[0]))
    facts["history"] |= {name: [1.0, 2.0, 3.0] for name in HOSTILE}
    assert HOSTILE[0] in tame(draw_training(facts, checked)).text
    tame(draw_training(facts, as_image))
