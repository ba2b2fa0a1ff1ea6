"""TFRecord files: every record, or an error that says where it breaks."""

from __future__ import annotations

import gzip

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from fluent_pipe.arrow.tfrecord_file import RecordFile, frame, read_records
from fluent_pipe.errors import InputError
from tests import tfrecords

RECORDS = [b"%d" % i * 20 for i in range(100, 200)]


def read(path, **more) -> list[bytes]:
    return [record for records in read_records(str(path), **more) for record in records]


@settings(max_examples=50, deadline=None)
@given(records=st.lists(st.binary(max_size=200), max_size=30), block=st.integers(1, 300))
def test_what_is_written_is_read_whatever_the_blocks(tmp_path_factory, records, block):
    folder = tmp_path_factory.mktemp("records")
    (folder / "plain").write_bytes(frame(records))
    file = RecordFile(folder / "zipped.gz")
    file.write(records[:10])
    file.write(records[10:])
    file.close()
    assert read(folder / "zipped.gz", block_bytes=block) == records
    if records:
        assert read(folder / "plain", block_bytes=block) == records


def test_tensorflow_reads_what_is_written_and_the_other_way_round(tmp_path):
    for name, kind in (("plain", ""), ("zipped.gz", "GZIP")):
        assert read(tfrecords.write(tmp_path / name, RECORDS)) == RECORDS
        (tmp_path / "own").write_bytes(frame(RECORDS) if not kind else gzip.compress(frame(RECORDS)))
        dataset = tf.data.TFRecordDataset(str(tmp_path / "own"), compression_type=kind)
        assert list(dataset.as_numpy_iterator()) == RECORDS


def test_gzip_is_seen_from_the_bytes_and_may_have_several_members(tmp_path):
    (tmp_path / "a.tfrecord").write_bytes(gzip.compress(frame(RECORDS[:50])) + gzip.compress(frame(RECORDS[50:])))
    assert read(tmp_path / "a.tfrecord", block_bytes=100) == RECORDS


@pytest.mark.parametrize("kind", ["plain", "gzip"])
def test_a_file_that_is_cut_anywhere_is_refused(tmp_path, kind):
    whole = frame(RECORDS)
    whole = gzip.compress(whole) if kind == "gzip" else whole
    ends = {len(frame(RECORDS[:n])) for n in range(len(RECORDS))} if kind == "plain" else set()
    for end in range(20, len(whole), 7):
        (tmp_path / "cut").write_bytes(whole[:end])
        if end in ends:
            continue  # nothing tells that records are missing
        with pytest.raises(InputError, match=r"cut: This (file is cut short|gzip file is broken)"):
            read(tmp_path / "cut")


def test_the_place_and_the_good_records_are_told(tmp_path):
    size = len(frame(RECORDS[:1]))
    (tmp_path / "cut").write_bytes(frame(RECORDS)[: 12 * size + 5])
    told = f"cut short: record 13, which begins at byte {12 * size:,}, is not whole. The 12 records before it are good"
    with pytest.raises(InputError, match=told):
        read(tmp_path / "cut", block_bytes=100)
    damaged = bytearray(frame(RECORDS))
    damaged[3 * size + 20] ^= 1
    (tmp_path / "damaged").write_bytes(damaged)
    told = rf"Record 4, at byte {3 * size}, is damaged: its checksum does not match. The 3 records before it are good"
    with pytest.raises(InputError, match=told):
        read(tmp_path / "damaged", block_bytes=100)
    (tmp_path / "cut.gz").write_bytes(gzip.compress(frame(RECORDS), 0)[: 12 * size + 40])
    with pytest.raises(InputError, match=r"of the uncompressed data, where record 13 would begin .*The 12 records"):
        read(tmp_path / "cut.gz")


@pytest.mark.parametrize("content", [b"x,y\n1,2\n", b"PAR1" + b"\0" * 100, gzip.compress(b"x,y\n" * 100, mtime=0)])
def test_what_is_no_tfrecord_file(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(InputError, match=r"a: This is not a TFRecord file. from_csv\(\) reads CSV"):
        read(tmp_path / "a")
