"""Who may ask, and what a browser may do with the answer."""

import pytest

from tests.ui.made_up import MadeUp


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:8511", "localhost:8511", "LOCALHOST", "[::1]:8511", "127.0.0.2"]
)
def test_requests_to_this_machine_are_answered(client, host):
    assert client.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8511", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.7", "", "::"],
)
def test_a_name_that_was_led_here_is_refused(client, host):
    answer = client.get("/", headers={"Host": host})
    assert answer.status_code == 421
    assert "<" not in answer.text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/healthz", "/compare"])
def test_only_looking_is_possible(client, method, path):
    assert client.request(method, path).status_code == 405


def test_every_answer_tells_the_browser_to_run_nothing_but_our_files(store, client):
    run = MadeUp(store).run()
    for path in ("/", f"/r/{run}", f"/r/{run}/live", "/healthz", "/static/page.js", "/nothing"):
        headers = client.get(path).headers
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert "unsafe" not in policy["script-src"]
        assert (policy["frame-ancestors"], policy["base-uri"]) == ("'none'", "'none'")
        assert headers["x-content-type-options"] == "nosniff"


def test_a_report_runs_apart_from_our_pages(store, client):
    run = MadeUp(store).run()
    policy = client.get(f"/r/{run}/report").headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts")
    assert "allow-same-origin" not in policy


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static//etc/passwd",
        "/r/..%2f..%2fmetadata.sqlite/report",
        "/r/%2e%2e/report",
        "/p/../../etc/passwd",
    ],
)
def test_no_path_leads_to_other_files(store, client, path):
    MadeUp(store).run()
    assert client.get(path).status_code == 404


def test_a_run_whose_name_leads_out_of_the_root_shows_no_file(store, client, tmp_path):
    outside = tmp_path / "outside" / "runs" / "out"
    store.begin_run("../outside", "out")
    (outside / "log.txt").write_text("SECRET")
    (outside / "report.html").write_text("SECRET")
    store.end_run("out", "succeeded")
    for page in ("", "/report", "/live"):
        assert "SECRET" not in client.get(f"/r/out{page}").text
