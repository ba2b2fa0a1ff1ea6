"""A small table, and what is held of every error in the user's own code."""

from __future__ import annotations

import pyarrow as pa
import pytest

from fluent_pipe.errors import UserCodeError

TRIPS = pa.table({"user": [f"u{n % 97}" for n in range(1000)], "miles": [float(n % 13) for n in range(1000)]})


def published(pipeline):
    return {f for f in pipeline.root.glob("*/*/*") if f.parent.name != "runs" and f.name != ".lock"}


def refused(pipeline, step, *words):
    """The run ends in an error of the user's code, and leaves nothing."""
    before = published(pipeline)
    with pytest.raises(UserCodeError) as caught:
        pipeline.run(progress=False)
    assert type(caught.value) is UserCodeError
    assert caught.value.step == step
    text = str(caught.value)
    for word in words:
        assert word in text
    assert "Traceback" not in text
    assert published(pipeline) == before
    return text
