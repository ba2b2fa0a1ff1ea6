"""Models to serve: that of the finished run, and one of another maker."""

from __future__ import annotations

from pathlib import Path

import pytest

from fluent_pipe.serving.folder import versions


@pytest.fixture(scope="session")
def trips(finished):
    """The model that the finished run pushed, loaded."""
    from fluent_pipe.serving.model import LoadedModel

    return LoadedModel(versions(finished.serving / "1")[0])


@pytest.fixture(scope="session")
def other_folder(tmp_path_factory) -> Path:
    """A SavedModel of plain TensorFlow."""
    import tensorflow as tf

    class Other(tf.Module):
        def __init__(self):
            super().__init__()
            self.two = tf.Variable(2.0)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
        def half_plus_two(self, x):
            return {"y": x * 0.5 + self.two}

        @tf.function(
            input_signature=[tf.TensorSpec([None], tf.int32, "number"), tf.TensorSpec([None], tf.string, "text")]
        )
        def several(self, number, text):
            return {"double": number * 2, "upper": tf.strings.upper(text), "as_bytes": text}

        @tf.function(input_signature=[tf.TensorSpec([None, 2, 2], tf.float32, "image")])
        def diagonal(self, image):
            return {"diagonal": tf.linalg.diag_part(image)}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
        def twice(self, x):
            return {"y": tf.concat([x, x], 0)}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
        def inverse(self, x):
            tf.debugging.assert_none_equal(x, 0.0, message="x is zero")
            return {"y": 1 / x}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, "steps")])
        def slow(self, steps):
            most = tf.reduce_max(steps)
            return {
                "y": steps * 0 + tf.while_loop(lambda i: i < most, lambda i: (i + 1,), (tf.constant(0, tf.int64),))[0]
            }

        @tf.function(input_signature=[{"tags": tf.TensorSpec([None, None], tf.string, "tags")}])
        def columns(self, columns):
            return {"tags": tf.reduce_sum(tf.cast(columns["tags"] != "", tf.int64), 1)}

    other = Other()
    folder = tmp_path_factory.mktemp("other") / "model"
    signatures = {"serving_default": other.half_plus_two, "serving_raw": other.columns}
    names = ("several", "diagonal", "twice", "inverse", "slow")
    tf.saved_model.save(other, str(folder), signatures=signatures | {name: getattr(other, name) for name in names})
    return folder


@pytest.fixture(scope="session")
def other(other_folder):
    """The same, loaded."""
    from fluent_pipe.serving.model import LoadedModel

    return LoadedModel(versions(other_folder)[0])
