"""What ids stand for, as the transform graph tells it."""

from __future__ import annotations

from fluent_pipe.training import vocabularies
from fluent_pipe.training.vocabularies import Vocabulary


def test_words_come_from_the_lookup_tables_of_the_graph(data, tmp_path) -> None:
    found = vocabularies.vocabularies(data)
    assert set(found) == {"carrier_id", "month", "tags_id", "late"}
    carrier = found["carrier_id"]
    assert carrier.size == 5
    assert sorted(carrier.words) == [b"AA", b"B6", b"DL", b"UA"]
    assert sorted(carrier.words.values()) == [0, 1, 2, 3]
    assert (carrier.ids["none"], carrier.ids["0 of 1"]) == (-1, 4)
    assert sorted(found["tags_id"].words) == [b"AA", b"B6", b"DL", b"UA"], "sparse features too"
    assert found["month"].words[b"12"] == 12, "an integer stands for itself"
    vocabularies.save(found, tmp_path)
    assert vocabularies.load(tmp_path) == found
    assert vocabularies.load(tmp_path / "nowhere") is None


def test_another_number_of_buckets_for_unknown_words_is_another_name() -> None:
    one, two = Vocabulary(3, {b"a": 0, b"b": 1}), Vocabulary(4, {b"a": 0, b"b": 1})
    assert set(one.ids) & set(two.ids) == {b"a", b"b", "none"}
