"""Which columns a feature is made of, read off a graph; tests of ``preprocess`` read TensorFlow's own."""

from fluent_pipe.results.sources import _message, read_sources

COLUMNS = {"hour": True, "delay": False, "carrier": True}
"""Dense, sparse (three tensors), dense: the graph calls them ``inputs`` to ``inputs_4``."""


def saved(path, *, arguments=("inputs_4", "inputs_1", "inputs_2", "inputs_3", "inputs"), depth=1):
    """A graph that makes ``late`` of delay, ``when`` of hour and carrier, and ``tags`` (sparse) of carrier."""
    model = _message("SavedModel")()
    graph = model.meta_graphs.add()
    inner = graph.graph.library.functions.add()
    inner.signature.name = "inner"
    for name in arguments:
        inner.signature.inputs.add(name=name)
    for number, made_of in enumerate((["inputs_2"], ["inputs", "inputs_4"], ["inputs_4:0", "^inputs"])):
        inner.nodes.add(name=f"step{number}_0", inputs=made_of)
        for level in range(1, depth):
            inner.nodes.add(name=f"step{number}_{level}", inputs=[f"step{number}_{level - 1}:y:0"])
        inner.signature.outputs.add(name=f"out{number}")
        inner.returns.add(key=f"out{number}", value=f"step{number}_{depth - 1}:y:0")
    call = graph.graph.nodes.add(name="call", inputs=[f"feed_{name}" for name in arguments])
    call.attributes.add(key="f").value.function.name = "inner"
    signature = graph.signatures.add(key="serving_default").value
    for name in arguments:
        signature.inputs.add(key=name).value.name = f"feed_{name}:0"
    signature.outputs.add(key="late").value.name = "call:0"
    signature.outputs.add(key="when").value.name = "call:1"
    sparse = signature.outputs.add(key="tags").value.sparse
    sparse.values, sparse.indices, sparse.shape = "call:2", "call:2", "call:2"
    path.write_bytes(model.SerializeToString())
    return path


def test_features_lead_to_their_columns_through_functions(tmp_path):
    assert read_sources(saved(tmp_path / "saved_model.pb"), COLUMNS) == {
        "late": ("delay",),
        "when": ("hour", "carrier"),
        "tags": ("carrier",),
    }


def test_a_graph_may_be_deep(tmp_path):
    assert read_sources(saved(tmp_path / "saved_model.pb", depth=5000), COLUMNS)["late"] == ("delay",)


def test_nothing_is_told_where_it_is_not_sure_which_input_is_which(tmp_path):
    swapped = saved(tmp_path / "a.pb", arguments=("inputs", "inputs_1", "inputs_2", "inputs_3", "inputs_4"))
    assert read_sources(swapped, COLUMNS) == {}
    assert read_sources(saved(tmp_path / "b.pb"), {**COLUMNS, "one more": True}) == {}


def test_a_graph_that_is_missing_or_broken_tells_nothing(tmp_path):
    assert read_sources(tmp_path / "saved_model.pb", COLUMNS) == {}
    (tmp_path / "saved_model.pb").write_bytes(b"\xff\xff not a graph")
    assert read_sources(tmp_path / "saved_model.pb", COLUMNS) == {}
