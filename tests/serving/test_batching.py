"""Requests that wait together are answered together, each as if it were alone."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest
import tensorflow as tf

from fluent_pipe.serving.batching import Batcher, answers
from fluent_pipe.serving.rest import understood
from fluent_pipe.serving.tensors import RequestError
from tests.trips import rows


def request(model, *instances, signature=None):
    return understood(json.dumps({"instances": instances, "signature_name": signature}).encode(), model)


def answered(requests, **options):
    """What a batcher answers to requests that come at once, and the rows of its batches."""
    batches = []

    async def submit():
        settings = {"threads": 1, "max_rows": 64, "max_waiting": 1000} | options
        batcher = Batcher(**settings, watch=batches.append)
        return await asyncio.gather(*(batcher.submit(each) for each in requests), return_exceptions=True)

    return asyncio.run(submit()), batches


def test_a_batch_answers_as_single_requests_do(trips):
    parts = (rows(3), rows(1, seed=1), rows(5, seed=2))
    requests = [request(trips, *({"city": row["city"], "miles": row["miles"]} for row in part)) for part in parts]
    together, batches = answered(requests)
    assert batches == [9]
    for each, answer in zip(requests, together, strict=True):
        np.testing.assert_allclose(answer["predictions"], each.signature.run(each.arrays)["predictions"], rtol=1e-6)


def test_no_batch_is_larger_than_its_limit(other):
    requests = [request(other, *range(n)) for n in (3, 3, 3, 20)]
    together, batches = answered(requests, max_rows=7)
    assert batches == [6, 3, 20]  # what is larger by itself runs alone
    assert [len(answer["y"]) for answer in together] == [3, 3, 3, 20]


def test_batching_can_be_switched_off(other):
    assert answered([request(other, n) for n in range(4)], max_rows=1)[1] == [1, 1, 1, 1]


def test_signatures_and_shapes_do_not_mix(other):
    twos = [[1.0, 2.0], [3.0, 4.0]]
    requests = [
        request(other, 1.0),
        request(other, twos, signature="diagonal"),
        request(other, 2.0),
        request(other, twos, signature="diagonal"),
    ]
    together, batches = answered(requests)
    assert batches == [2, 2]
    assert [next(iter(a.values())).tolist() for a in together] == [[2.5], [[1.0, 4.0]], [3.0], [[1.0, 4.0]]]


def test_columns_of_other_widths_share_a_batch(other):
    requests = [
        request(other, {"tags": ["a", "b", "c"]}),
        request(other, {"tags": "a"}),
        request(other, {"tags": None}),
    ]
    together, batches = answered(requests)
    assert batches == [3]
    assert [answer["tags"].tolist() for answer in together] == [[3], [1], [0]]


def test_an_error_is_its_own_requests_alone(other):
    together, batches = answered([request(other, x, signature="inverse") for x in (1.0, 2.0, 0.0, 4.0, 5.0)])
    assert batches == [5]
    assert isinstance(together.pop(2), tf.errors.InvalidArgumentError)
    np.testing.assert_allclose([answer["y"][0] for answer in together], [1, 0.5, 0.25, 0.2])


def test_a_model_that_does_not_answer_by_row_is_found_out(other):
    requests = [request(other, 1.0, signature="twice"), request(other, 2.0, signature="twice")]
    assert [answer["y"].tolist() for answer in answers(requests)] == [[1, 1], [2, 2]]
    assert not other.signatures["twice"].by_row


def test_too_many_are_refused_and_who_gave_up_is_not_run(other):
    async def overload():
        ran = []
        batcher = Batcher(threads=1, max_rows=1, max_waiting=2, watch=ran.append)
        running = batcher.submit(request(other, 200_000, signature="slow"))
        await asyncio.sleep(0.05)
        waiting = [batcher.submit(request(other, n, signature="slow")) for n in (1, 2)]
        with pytest.raises(RequestError) as refused:
            batcher.submit(request(other, 3, signature="slow"))
        assert refused.value.status == 503
        waiting[0].cancel()
        assert (await waiting[1])["y"].tolist() == [2]
        assert running.done()
        return ran

    assert asyncio.run(overload()) == [1, 1]
