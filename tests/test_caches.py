from __future__ import annotations

import sys

from fluent_pipe.caches import cache_folder


def test_the_cache_is_where_the_system_keeps_caches(tmp_path, monkeypatch):
    monkeypatch.delenv("FLUENT_PIPE_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == tmp_path / "home/.cache/fluent_pipe"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "fluent_pipe"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_folder() == tmp_path / "home/Library/Caches/fluent_pipe"


def test_the_environment_may_name_another(tmp_path, monkeypatch):
    monkeypatch.setenv("FLUENT_PIPE_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
