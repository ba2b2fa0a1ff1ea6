"""What is missing skips a test; where nothing may be missing it fails it."""

import pytest

from tests import needs


def test_without_java_a_test_is_skipped_with_the_reason(commands, monkeypatch):
    monkeypatch.delenv(needs.NO_SKIPS, raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install"):
        needs.job_server("flink")


def test_where_nothing_may_be_missing_it_fails(commands, monkeypatch):
    monkeypatch.setenv(needs.NO_SKIPS, "1")
    with pytest.raises(pytest.fail.Exception, match=r"need Java.*FLUENT_PIPE_NO_SKIPS is set"):
        needs.job_server("spark")
