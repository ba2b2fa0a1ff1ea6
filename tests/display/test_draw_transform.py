"""Raw columns and the features made of them."""

from fluent_pipe.display.charts import inline
from fluent_pipe.display.transform import draw_transform, transform_text
from tests.display.made_up import HOSTILE, is_drawn_well


def feature(dtype="int64", shape=(), kind="dense"):
    return {"dtype": dtype, "shape": list(shape), "kind": kind}


def transformed(**more):
    return {
        "label": "late", "weight": "arrived", "task": "binary", "classes": None, "class_count": 2,
        "class_counts": [300, 100], "vocabularies": {"carrier_id": 17},
        "features": {"late": feature(), "arrived": feature("float32"), "carrier_id": feature(shape=[1]),
                     "tags": feature(kind="sparse"), "pair": feature("float32", [2, 3])},
        **more,
    }  # fmt: skip


COLUMNS = {"arr_delay": "INT", "carrier": "BYTES", "remark": "BYTES"}
SOURCES = {"late": ("arr_delay",), "arrived": ("arr_delay",), "carrier_id": ("carrier",), "tags": (), "pair": ()}


def test_lines_lead_from_columns_to_features():
    html = draw_transform(transformed(), COLUMNS, SOURCES, inline)
    assert is_drawn_well(html)
    assert html.count("<path") == 3, "one a column and feature made of it"
    assert 'remark</tspan><tspan font-size="10"> BYTES, not used' in html


def test_without_knowing_the_sources_no_line_is_drawn_and_nothing_called_unused():
    html = draw_transform(transformed(), COLUMNS, {}, inline)
    assert "<path" not in html
    assert "not used" not in html
    assert "from" not in transform_text(transformed(), COLUMNS, {}).splitlines()[1]


def test_label_weight_and_vocabularies_are_told():
    text = transform_text(transformed(), COLUMNS, SOURCES)
    assert text.startswith("3 columns in, 5 features out; label late (binary); weight arrived")
    row = next(line for line in text.splitlines() if line.startswith("carrier_id"))
    assert row.split() == ["carrier_id", "int64", "1", "dense", "17", "values", "carrier"]
    assert "2 × 3" in text
    html = draw_transform(transformed(), COLUMNS, SOURCES, inline)
    assert "<b>label</b>" in html
    assert "<b>weight</b>" in html


def test_classes_are_counted_by_name():
    counted = transformed(task="multiclass", classes=["no", "yes"])
    assert "300" in (html := draw_transform(counted, COLUMNS, SOURCES, inline))
    assert ">yes<" in html
    assert "no      300  ███████████████      75%" in transform_text(counted, COLUMNS, SOURCES)


def test_many_classes_are_gathered():
    many = transformed(class_counts=list(range(1000)))
    assert "981 more" in transform_text(many, COLUMNS, SOURCES)


def test_without_a_label_nothing_is_said_of_classes():
    plain = transformed(label=None, weight=None, task=None, class_counts=None)
    text = transform_text(plain, COLUMNS, SOURCES)
    assert text.startswith("3 columns in, 5 features out\n")
    assert "Rows by class" not in text
    assert "Rows by class" not in draw_transform(plain, COLUMNS, SOURCES, inline)


def test_very_many_are_bounded():
    wide = transformed(features={f"f{i}": feature() for i in range(1000)}, label=None, weight=None, class_counts=None)
    columns = {f"c{i}": "INT" for i in range(500)}
    html = draw_transform(wide, columns, {f"f{i}": (f"c{i // 2}",) for i in range(1000)}, inline)
    assert "440 more" in html
    assert "940 more" in html
    assert "And 800 more features" in html
    assert len(html) < 200_000


def test_names_are_data():
    features = {name: feature(name, [1], name) for name in HOSTILE}
    facts = transformed(
        features=features, label=HOSTILE[0], weight=HOSTILE[1], vocabularies={HOSTILE[2]: 3}, task="multiclass",
        classes=list(HOSTILE), class_counts=[1] * len(HOSTILE),
    )  # fmt: skip
    columns, sources = dict.fromkeys(HOSTILE, HOSTILE[0]), dict.fromkeys(HOSTILE, HOSTILE)
    assert is_drawn_well(draw_transform(facts, columns, sources, inline))
    assert not set("\x07\x1b\u202e") & set(transform_text(facts, columns, sources))
