"""The fluent value: immutable, checked at the call, branched, pickled, drawn."""

import pickle

import pytest

import fluent_pipe as fp
from fluent_pipe.errors import ArgumentError, OrderError


def chain(name="flights"):
    return (
        fp.Pipeline(name)
        .from_csv("flights.csv")
        .generate_statistics()
        .infer_schema()
        .validate(drift={"distance": fp.jensen_shannon(0.1)})
        .preprocess(label="late")
        .train(epochs=2)
        .evaluate(metrics=["AUC"], slices=["carrier", ["origin", "month"]], require={"auc": fp.at_least(0.65)})
        .push_to("serving/flights")
    )


def test_a_call_returns_a_new_pipeline_and_leaves_the_old_one():
    source = fp.Pipeline("p").from_csv("a.csv")
    longer = source.generate_statistics()
    assert [s.id for s in source.steps] == ["from_csv"]
    assert [s.id for s in longer.steps] == ["from_csv", "generate_statistics"]


def test_a_prefix_can_be_branched():
    prefix = fp.Pipeline("p").from_csv("a.csv").generate_statistics().infer_schema().preprocess(label="y")
    short, long = prefix.train(epochs=1), prefix.train(epochs=9)
    assert short.steps[:-1] == long.steps[:-1]
    assert (short.steps[-1].epochs, long.steps[-1].epochs) == (1, 9)


def test_equal_expressions_are_equal_and_hash_alike():
    assert chain() == chain()
    assert hash(chain()) == hash(chain())
    assert chain() != chain("other")


def test_it_pickles():
    assert pickle.loads(pickle.dumps(chain())) == chain()


def test_steps_cannot_be_changed():
    with pytest.raises(AttributeError):
        chain().steps[0].id = "other"


def test_repeated_calls_get_numbers():
    p = fp.Pipeline("p").from_csv("a.csv").generate_statistics().generate_statistics(sample=0.1).generate_statistics()
    assert [s.id for s in p.steps[1:]] == ["generate_statistics", "generate_statistics_2", "generate_statistics_3"]


def test_the_latest_artifact_of_a_type_is_meant():
    p = fp.Pipeline("p").from_csv("a.csv").generate_statistics().infer_schema().curate_schema(lambda s: s)
    assert p.preprocess(label="y").steps[-1].schema.step == "curate_schema"


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda p: p.infer_schema(), "infer_schema() needs statistics. This pipeline so far: from_csv. Call generate"),
        (lambda p: p.train(), "train() needs transformed examples. This pipeline so far: from_csv. Call preprocess()"),
        (lambda p: p.evaluate(), "evaluate() needs a model. This pipeline so far: from_csv. Call train() first."),
        (lambda p: p.infra_validate(), "infra_validate() needs a model. This pipeline so far: from_csv. Call train()"),
        (lambda p: p.push_to("x"), "push_to() needs a model."),
        (lambda p: p.from_csv("b.csv"), "from_csv() must be the first step. This pipeline so far: from_csv."),
    ],
)
def test_an_impossible_order_is_an_error_at_the_call(call, says):
    with pytest.raises(OrderError) as error:
        call(fp.Pipeline("p").from_csv("a.csv"))
    assert says.replace("_2", "") in str(error.value).replace("_2", "")


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: fp.Pipeline("a b"), "'a b' is not valid"),
        (lambda: fp.Pipeline("p").from_csv([]), "takes a path, a glob or a list"),
        (lambda: fp.Pipeline("p").from_csv("a.csv", splits={"train": 0}), "positive share"),
        (lambda: fp.Pipeline("p").from_csv("a.csv", splits={"a/b": 1}), "Split name"),
        (lambda: fp.Pipeline("p").from_csv({"train": "a.csv"}, splits={"train": 1}), "Give one of the two"),
        (lambda: fp.Pipeline("p").from_csv("a.csv", types={"x": "integer"}), "There are: int, float"),
        (lambda: fp.Pipeline("p").from_csv("a.csv", delimiter=";;"), "one ASCII character"),
        (lambda: fp.Pipeline("p").from_csv("a.csv", encoding="utf-99"), "knows no encoding"),
        (lambda: fp.Pipeline("p").from_csv("a.csv", max_rejected=2), "from 0 to 1"),
        (lambda: fp.Pipeline("p").from_csv("a.csv").generate_statistics(sample=0), "above 0"),
        (lambda: chain().train(epochs=0), "epochs= is a whole number"),
        (lambda: chain().train("nowhere.py"), "no module file 'nowhere.py'"),
        (lambda: chain().train(42), "takes a function"),
        (lambda: chain().evaluate(metrics="AUC"), "takes a list of names"),
        (lambda: chain().evaluate(require={"auc": 0.6}), "fp.at_least(0.65)"),
        (lambda: chain().evaluate(baseline="nowhere"), "no folder 'nowhere'"),
        (lambda: chain().validate(drift={"x": 0.1}), "fp.jensen_shannon(0.1)"),
        (lambda: chain().validate(on_anomaly="ignore"), "There are: fail, warn"),
        (lambda: chain().push_to("x", keep=0), "keep= is a whole number"),
        (lambda: chain().with_schema("nowhere.pbtxt"), "no file 'nowhere.pbtxt'"),
        (lambda: fp.Pipeline("p").from_pandas([1, 2]), "from_pandas() got a list. There are: DataFrame"),
        (lambda: fp.at_least("0.6"), "at_least() takes a number"),
        (lambda: fp.Pipeline("p").from_csv("a.csv", null_values="NA"), "takes a list of names"),
        (lambda: fp.Pipeline("p").from_csv("a.csv", splits=["train"]), "takes a mapping"),
        (lambda: fp.Pipeline("p").from_csv("a.csv", types=["x"]), "takes a mapping"),
        (lambda: fp.Pipeline("p").from_csv({"../up": "a.csv"}), "Split name '../up'"),
        (lambda: fp.Pipeline("p").from_csv("a.csv", delimiter='"'), "must differ"),
        (lambda: chain().evaluate(require=["auc"]), "takes a mapping"),
        (lambda: chain().validate(against="nowhere"), "no folder 'nowhere'"),
        (lambda: chain().infra_validate(max_latency_ms=0), "max_latency_ms= takes a positive number or None, got 0"),
        (lambda: chain().infra_validate(requests=0), "requests= is a whole number"),
        (lambda: chain().infra_validate(endpoint="localhost:8501"), "http://localhost:8501/v1/models/flights"),
        (lambda: chain().infra_validate(endpoint="http://x", max_memory_mb=1), "Leave out max_memory_mb= or endpoint="),
        (lambda: chain().run(refresh="trian"), "Did you mean 'train'?"),
    ],
)
def test_an_argument_that_is_not_valid_is_an_error_at_the_call(call, says):
    with pytest.raises(ArgumentError) as error:
        call()
    assert says in str(error.value)


def test_cache_switches_the_step_before_it():
    p = fp.Pipeline("p").from_csv("a.csv").generate_statistics().cache(False).infer_schema()
    assert [s.cached for s in p.steps] == [True, False, True]
    with pytest.raises(OrderError):
        fp.Pipeline("p").cache(False)


def test_splits_get_their_roles_by_name():
    p = fp.Pipeline("p").from_csv("a.csv", splits={"test": 1, "train": 8, "val": 1})
    p = p.generate_statistics().infer_schema().preprocess(label="y").train().evaluate()
    train, evaluate = p.steps[-2:]
    assert (train.train_split, train.validation_split, evaluate.split) == ("train", "val", "test")


def test_a_run_fn_is_told_from_a_build_model(tmp_path):
    module = tmp_path / "module.py"
    module.write_text("def run_fn(fn_args):\n    pass\n")
    prefix = fp.Pipeline("p").from_csv("a.csv").generate_statistics().infer_schema().preprocess(label="y")
    assert prefix.train(str(module)).steps[-1].run_fn.name == "run_fn"
    module.write_text("def build_model(data, hp):\n    pass\n")
    assert prefix.train(str(module)).steps[-1].build_model.name == "build_model"


def test_a_module_file_that_is_not_python_is_named_with_its_line(tmp_path):
    module = tmp_path / "module.py"
    module.write_text("def run_fn(:\n")
    with pytest.raises(ArgumentError, match=r"module\.py:1"):
        chain().train(str(module))


def test_one_slice_column_may_be_given_alone():
    assert chain().generate_statistics(slices="city").steps[-1].slices == (("city",),)


def test_it_draws_itself():
    bundle = chain()._repr_mimebundle_()
    assert "8 steps, 5 Beam jobs" in bundle["text/html"]
    assert bundle["text/plain"] == repr(chain())
    assert repr(chain()).startswith("Pipeline('flights'): from_csv -> generate_statistics")
