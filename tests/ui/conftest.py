"""A store of made-up runs, and a client that looks at its pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from starlette.testclient import TestClient

from fluent_pipe.mirror import Root
from fluent_pipe.store.metadata import MetadataStore
from fluent_pipe.ui.app import Pages
from fluent_pipe.ui.history import History

Get = Callable[[str], httpx.Response]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MetadataStore]:
    with MetadataStore.open(tmp_path / "root") as opened:
        yield opened


@pytest.fixture
def client(store: MetadataStore) -> TestClient:
    pages = Pages(History(Root.of(store.root)))
    return TestClient(pages.app(), base_url="http://127.0.0.1", follow_redirects=False, raise_server_exceptions=False)


@pytest.fixture
def get(client: TestClient) -> Get:
    """A page that must be there."""

    def page(path: str) -> httpx.Response:
        answer = client.get(path)
        assert answer.status_code == 200, answer.text
        return answer

    return page
