"""Files that TFT and TFMA have Beam write, delivered to an object store as all others are.

Beam's own sinks write to an object store through libraries of Beam's, with credentials of their own, and end with
stages that rename files. What is written so is small: a vocabulary, metrics by slice. One worker writes each file
whole, and uploads it.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import apache_beam as beam
from apache_beam.coders.coders import Coder, ToBytesCoder
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from fluent_pipe.arrow.tfrecord_file import frame
from fluent_pipe.remote import write_bytes

GZIP = ".gz"


@contextmanager
def delivered_files() -> Iterator[None]:
    """Have ``beam.io.WriteToText`` and ``WriteToTFRecord``, where they are built inside, upload what they write."""
    with replaced(beam.io, "WriteToText", _WriteText), replaced(beam.io, "WriteToTFRecord", _WriteRecords):
        yield


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Set an attribute of a module or class for a while, where a library has no other way to be told."""
    before = owner.__dict__[name]
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


class _Write(beam.PTransform):  # type: ignore[misc]
    """All elements to one file, named as Beam names it.

    Parameters
    ----------
    file_path_prefix, file_name_suffix
        URL of the file, less the number of its shard.
    shard_name_template
        ``""`` for a file without such a number: its elements come from one bundle, whose order is kept. None for
        files with one, of elements from wherever.
    coder
        Makes bytes of an element.
    """

    def __init__(
        self,
        file_path_prefix: str,
        file_name_suffix: str = "",
        *,
        shard_name_template: str | None = None,
        coder: Coder | None = None,
    ) -> None:
        super().__init__()
        self._ordered = shard_name_template == ""
        number = "" if self._ordered else "-00000-of-00001"
        self._url = f"{file_path_prefix}{number}{file_name_suffix}"
        self._coder = coder or ToBytesCoder()

    def expand(self, elements: beam.PCollection) -> beam.PCollection:
        encoded = elements | "Encode" >> beam.Map(self._coder.encode).with_output_types(bytes)
        if self._ordered:
            return encoded | "Write" >> beam.ParDo(_WriteBundle(self._url, self._content))
        gathered = encoded | "Key" >> beam.Map(lambda element: (None, element)) | "Gather" >> beam.GroupByKey()
        return gathered | "Write" >> beam.Map(_write_group, self._url, self._content)

    @staticmethod
    def _content(elements: list[bytes]) -> bytes:
        raise NotImplementedError


class _WriteText(_Write):
    @staticmethod
    def _content(elements: list[bytes]) -> bytes:
        return b"".join(element + b"\n" for element in elements)


class _WriteRecords(_Write):
    @staticmethod
    def _content(elements: list[bytes]) -> bytes:
        return frame(elements)


class _WriteBundle(beam.DoFn):  # type: ignore[misc]
    def __init__(self, url: str, content: Any) -> None:
        super().__init__()
        self._url = url
        self._content = content
        self._elements: list[bytes] = []

    def start_bundle(self) -> None:
        self._elements = []

    def process(self, element: bytes) -> Iterable[str]:
        self._elements.append(element)
        return ()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if self._elements:
            _upload(self._url, self._content(self._elements))
            yield WindowedValue(self._url, MIN_TIMESTAMP, [GlobalWindow()])


def _write_group(group: tuple[None, Iterable[bytes]], url: str, content: Any) -> str:
    _upload(url, content(list(group[1])))
    return url


def _upload(url: str, content: bytes) -> None:
    write_bytes(url, gzip.compress(content, mtime=0) if url.endswith(GZIP) else content)
