"""Which version answers, as the folder changes; and what does not load."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from fluent_pipe.errors import ServingError
from fluent_pipe.serving.command import example_request
from fluent_pipe.serving.folder import versions
from fluent_pipe.serving.trial import FILE
from fluent_pipe.serving.versions import Versions


@pytest.fixture
def folder(other_folder, tmp_path):
    """A folder with version 1, to change."""
    shutil.copytree(other_folder, tmp_path / "served" / "1")
    return tmp_path / "served"


def looked(served):
    """What one look at the folder does."""
    found = versions(served.folder)
    model = served.newest(found)
    if model is not None:
        served._swap(model)
    served._before = found
    return {each["version"]: each["state"] for each in served.status()}


def test_the_newest_version_that_loads_answers(folder, other_folder):
    (folder / "10").mkdir()
    shutil.copytree(other_folder, folder / "9")
    (folder / "notes").mkdir()
    (folder / "11").touch()
    served = Versions(folder)
    served.start()
    assert served.current.version.number == 9
    states = {each["version"]: each for each in served.status()}
    assert (states["9"]["state"], states["10"]["state"]) == ("AVAILABLE", "END")
    assert "SavedModel file does not exist" in states["10"]["status"]["error_message"]


def test_a_version_that_is_in_use_is_released_later(folder, other_folder):
    served = Versions(folder)
    served.start()
    with served.using() as before:
        shutil.copytree(other_folder, folder / "2")
        assert looked(served) == {"2": "AVAILABLE", "1": "UNLOADING"}
        assert before.signatures["serving_default"].run({"x": np.float32([1])})["y"] == [2.5]
    assert looked(served) == {"2": "AVAILABLE"}


def test_a_broken_version_is_tried_again_when_it_is_whole(folder, other_folder):
    served = Versions(folder)
    served.start()
    (folder / "2").mkdir()
    shutil.copy(other_folder / "saved_model.pb", folder / "2")
    assert looked(served) == {"2": "END", "1": "AVAILABLE"}
    assert looked(served) == {"2": "END", "1": "AVAILABLE"}
    shutil.copytree(other_folder, folder / "2", dirs_exist_ok=True)
    looked(served)  # it may still be being written
    assert looked(served) == {"2": "AVAILABLE"}


def test_a_version_that_is_deleted_leaves_unless_it_is_the_last(folder, other_folder):
    shutil.copytree(other_folder, folder / "2")
    served = Versions(folder)
    served.start()
    shutil.rmtree(folder / "2")
    assert looked(served) == {"1": "AVAILABLE"}
    shutil.rmtree(folder / "1")
    assert looked(served) == {"1": "AVAILABLE"}
    shutil.copytree(other_folder, folder / "1")
    (folder / "1" / "saved_model.pb").touch()  # another model under the number of the first
    before = served.current
    assert looked(served) == {"1": "AVAILABLE"}
    assert served.current is not before


def test_a_saved_model_itself_is_version_1(other_folder):
    served = Versions(other_folder)
    served.start()
    assert served.current.version.number == 1


def test_a_signature_that_is_asked_for_must_be_there(other_folder):
    with pytest.raises(ServingError, match=r"no signature 'serving_defalt'.*Did you mean 'serving_default'"):
        Versions(other_folder, "serving_defalt").start()


@pytest.mark.parametrize(("make", "said"), [(False, "cannot be read: No such file"), (True, "holds no model")])
def test_a_folder_without_a_model_is_an_error(tmp_path, make, said):
    if make:
        (tmp_path / "empty").mkdir()
    with pytest.raises(ServingError, match=said):
        Versions(tmp_path / "empty").start()


def test_a_model_that_loads_in_eager_mode_alone_is_not_served(tmp_path):
    import keras
    import tensorflow as tf

    class Wrapped(tf.Module):
        """Tracks no variable of the Keras model."""

        def __init__(self):
            super().__init__()
            self.model = keras.Sequential([keras.Input([1]), keras.layers.Dense(1)])

        @tf.function(input_signature=[tf.TensorSpec([None, 1], tf.float32, "x")])
        def predict(self, x):
            return {"y": self.model(x)}

    wrapped = Wrapped()
    tf.saved_model.save(wrapped, str(tmp_path / "wrapped"), signatures={"serving_default": wrapped.predict})
    with pytest.raises(ServingError, match=r"'serving_default' cannot run in a session.*ExportArchive"):
        Versions(tmp_path / "wrapped").start()


@pytest.mark.parametrize(("signature", "value"), [("serving_default", 1.0), ("inverse", 0.0), ("gone", 1.0)])
def test_warm_up_requests_are_played_before_a_version_answers(folder, signature, value):
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.model_spec.signature_name = signature
    log.predict_log.request.inputs["x"].CopyFrom(tf.make_tensor_proto([value], tf.float32))
    file = folder / "1" / FILE
    file.parent.mkdir()
    with tf.io.TFRecordWriter(str(file)) as writer:
        writer.write(log.SerializeToString())
    served = Versions(folder)
    if signature == "serving_default":
        served.start()
        assert example_request(served.current, "serving_default") == '{"instances":[1.0]}'
        return
    said = "x is zero" if signature == "inverse" else "no signature 'gone'"
    with pytest.raises(ServingError, match=f"Warm-up request 0 fails: .*{said}"):
        served.start()


def test_a_broken_warm_up_file_is_named(folder):
    file = folder / "1" / FILE
    file.parent.mkdir()
    file.write_bytes(b"not a TFRecord file")
    with pytest.raises(ServingError, match="tf_serving_warmup_requests: The warm-up requests cannot be read"):
        Versions(folder).start()
