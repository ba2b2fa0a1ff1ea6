"""A store of made-up runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fluent_pipe.store.metadata import MetadataStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MetadataStore]:
    with MetadataStore.open(tmp_path / "root") as opened:
        yield opened
