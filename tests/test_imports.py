"""Nothing heavy is loaded before it is needed; each test looks into a fresh process."""

import json
import subprocess
import sys

HEAVY = (
    "tensorflow",
    "apache_beam",
    "pandas",
    "pyarrow",
    "keras",
    "tensorflow_data_validation",
    "tensorflow_transform",
)

CHAIN = """
import fluent_pipe as fp
def features(inputs): return inputs
def build_model(data, hp): return None
chain = (
    fp.Pipeline("flights").from_csv("flights.csv", splits={"train": 8, "eval": 2}).generate_statistics().infer_schema()
    .curate_schema(lambda schema: schema).validate().preprocess(features, label="late").train(build_model)
    .evaluate(slices=["carrier"], require={"auc": fp.at_least(0.65)}).push_to("serving/flights")
    .generate_statistics(sample=0.1).infer_schema().train(build_model, epochs=3)
)
"""


def in_fresh_process(code, tmp_path):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    return json.loads(done.stdout.splitlines()[-1])


def test_import_chain_and_explain_load_nothing_heavy(tmp_path):
    code = (
        CHAIN
        + f"""
import io, json, sys, contextlib
assert len(chain.steps) == 12
with contextlib.redirect_stdout(io.StringIO()):
    chain.explain()
repr(chain), chain._repr_mimebundle_(), chain.plan()._repr_mimebundle_()
print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))
"""
    )
    assert in_fresh_process(code, tmp_path) == []


def test_import_and_chain_are_quick(tmp_path):
    # Processor seconds, and the best of a few processes: a busy machine must not fail it, a heavy import must.
    code = (
        """
import json, time
begun = time.process_time()
import fluent_pipe as fp
fp.Pipeline
imported = time.process_time() - begun
begun = time.process_time()
"""
        + CHAIN
        + """
print(json.dumps([imported, time.process_time() - begun]))
"""
    )
    times = [in_fresh_process(code, tmp_path) for _ in range(5)]
    assert min(t[0] for t in times) < 0.150
    assert min(t[1] for t in times) < 0.020


def test_every_public_name_can_be_had():
    import fluent_pipe as fp

    for name in fp.__all__:
        assert getattr(fp, name) is not None
