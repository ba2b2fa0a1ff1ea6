"""Where a job server's jar comes from, with a loopback server in the place of Maven's registry."""

import hashlib
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata

import psutil
import pytest

from fluent_pipe.errors import ArgumentError, RunnerError
from fluent_pipe.runners import jars
from tests.runners.waiting import wait_for

VERSION = metadata.version("apache-beam")
NAME = f"beam-flink-job-server-{VERSION}.jar"
UPSTREAM = f"beam-runners-flink-1.19-job-server-{VERSION}.jar"

MVN = """#!/bin/sh
echo "$@" >> {said}
mkdir -p target
{body}
"""
MAKES_A_JAR = "sleep 0.3; echo built > target/job-server.jar"


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """An own cache and home, and a registry that has nothing until a file is put into the folder that is given."""
    from apache_beam.utils.subprocess_server import JavaJarServer

    monkeypatch.setenv("FLUENT_PIPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    registry = tmp_path / "registry"
    folder = registry / f"org/apache/beam/{UPSTREAM.removesuffix(f'-{VERSION}.jar')}/{VERSION}"
    folder.mkdir(parents=True)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=registry)) as server:
        monkeypatch.setattr(JavaJarServer, "MAVEN_CENTRAL_REPOSITORY", f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder
        server.shutdown()


@pytest.fixture
def mvn(commands, tmp_path):
    """Make a ``mvn`` that does what a shell's lines say; gives the file of its arguments, one line a call."""

    def make(body):
        said = tmp_path / "mvn.txt"
        commands.add("mvn", MVN.format(said=said, body=body))
        return said

    return make


def test_a_jar_that_is_given_is_taken(tmp_path, monkeypatch):
    (tmp_path / "own.jar").touch()
    monkeypatch.chdir(tmp_path)
    assert jars.resolve("flink", "own.jar") == tmp_path / "own.jar"


def test_a_given_jar_that_is_not_there_is_an_error_and_nothing_else_is_tried(tmp_path, mvn):
    said = mvn(MAKES_A_JAR)
    with pytest.raises(ArgumentError, match="jar is not there"):
        jars.resolve("flink", tmp_path / "none.jar")
    assert not said.exists()


def test_a_jar_in_beams_own_cache_is_taken(tmp_path):
    own = tmp_path / "home/.apache_beam/cache/jars" / UPSTREAM
    own.parent.mkdir(parents=True)
    own.touch()
    assert jars.resolve("flink") == own
    assert jars.look("flink") == jars.Look(own, f"{own} (Beam's cache)", None)


def test_upstreams_jar_is_fetched_once(places, tmp_path, commands):
    (places / UPSTREAM).write_bytes(b"a jar")
    (places / f"{UPSTREAM}.sha1").write_text(hashlib.sha1(b"a jar").hexdigest())
    heard = []
    jar = jars.resolve("flink", say=heard.append)
    assert jar == tmp_path / "cache/jars" / NAME
    assert jar.read_bytes() == b"a jar"
    assert heard == [f"Fetching {UPSTREAM} (0 MB): once."]
    assert jars.resolve("flink", say=heard.append) == jar
    assert len(heard) == 1


def test_what_is_fetched_and_not_whole_is_not_taken(places, mvn):
    (places / UPSTREAM).write_bytes(b"half a")
    (places / f"{UPSTREAM}.sha1").write_text(hashlib.sha1(b"half a jar").hexdigest())
    mvn(MAKES_A_JAR)
    heard = []
    assert jars.resolve("flink", say=heard.append).read_text() == "built\n"
    assert f"{UPSTREAM} did not arrive whole." in heard


def test_a_jar_that_nobody_has_is_built_once(tmp_path, mvn):
    said = mvn(MAKES_A_JAR)
    heard = []
    jar = jars.resolve("flink", say=heard.append)
    assert jar == tmp_path / "cache/jars" / NAME
    assert heard == [
        f"{UPSTREAM} cannot be fetched: HTTP Error 404: File not found.",
        f"Building the Flink job server of Beam {VERSION} with mvn: once, one to two minutes.",
    ]
    assert jars.resolve("flink") == jar
    assert said.read_text().count("package") == 1
    assert not (tmp_path / "cache/jars/.flink").exists()


def test_several_at_once_build_once(mvn):
    said = mvn(MAKES_A_JAR)
    heard = []
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: jars.resolve("flink", say=heard.append), range(4)))
    assert len(found) == 1
    assert said.read_text().count("package") == 1
    assert "Another process is getting the Flink job server; waiting for it." in heard


@pytest.mark.parametrize(
    "words",
    ["Could not find artifact {} in central -> [Help 1]", "{} was not found in central during a previous attempt"],
)
def test_a_beam_without_artifacts_takes_the_version_that_is_known_to_work(tmp_path, mvn, monkeypatch, words):
    monkeypatch.setattr(jars, "beam_version", lambda: "2.99.0")
    told = words.format("org.apache.beam:beam-runners-flink-1.19:jar:2.99.0")
    said = mvn(f'case "$*" in *2.99.0*) echo "[ERROR] {told}"; exit 1;; esac\n{MAKES_A_JAR}')
    heard = []
    jar = jars.resolve("flink", say=heard.append)
    assert jar == tmp_path / "cache/jars/beam-flink-job-server-2.99.0.jar"
    assert jar.resolve() == tmp_path / f"cache/jars/beam-flink-job-server-{jars.BUILDS}.jar"
    assert f"There are no Flink artifacts of Beam 2.99.0; taking those of {jars.BUILDS}." in heard
    assert jars.resolve("flink") == jar
    assert len(said.read_text().splitlines()) == 2


def test_without_mvn_the_error_names_what_brings_it_and_the_other_way(commands):
    with pytest.raises(RunnerError, match="no mvn") as error:
        jars.resolve("spark")
    assert "apt-get install maven" in str(error.value)
    assert "fp.runners.Spark(jar=...)" in str(error.value)


def test_a_registry_that_does_not_answer_is_no_missing_version(mvn):
    artifact = f"org.apache.beam:beam-runners-flink-1.19:jar:{VERSION}"
    said = mvn(f"echo '[ERROR] Could not transfer artifact {artifact} from/to central: Connection refused'; exit 1")
    with pytest.raises(RunnerError, match="Connection refused"):
        jars.resolve("flink")
    assert len(said.read_text().splitlines()) == 1


def test_a_build_that_fails_tells_mvns_errors_and_its_log(tmp_path, mvn):
    lines = ["[INFO] much", "[ERROR] No space left on device -> [Help 1]", "[ERROR]", "[ERROR] Re-run with -X"]
    mvn("".join(f"echo '{line}'; " for line in lines) + "exit 1")
    with pytest.raises(RunnerError, match=r"\(exit code 1\): No space left on device\.") as error:
        jars.resolve("flink")
    log = tmp_path / "cache/jars/build-flink.log"
    assert error.value.where == str(log)
    assert "[INFO] much" in log.read_text()
    assert jars.look("flink").jar is None
    mvn(MAKES_A_JAR)
    assert jars.resolve("flink").is_file()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_build_that_is_broken_off_leaves_no_mvn_and_no_jar(tmp_path, mvn, number):
    pid = tmp_path / "mvn.pid"
    mvn(f"echo half > target/job-server.jar; echo $$ > {pid}; exec sleep 600")
    code = "from fluent_pipe.runners import jar_download, jars; jars.resolve('flink')"
    from apache_beam.utils.subprocess_server import JavaJarServer

    registry = f"subprocess_server.JavaJarServer.MAVEN_CENTRAL_REPOSITORY = {JavaJarServer.MAVEN_CENTRAL_REPOSITORY!r}"
    starter = subprocess.Popen(
        [sys.executable, "-c", f"from apache_beam.utils import subprocess_server; {registry}; {code}"],
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: pid.exists() and pid.read_text(), seconds=60)
    building = psutil.Process(int(pid.read_text()))
    starter.send_signal(number)
    starter.wait(timeout=20)
    building.wait(timeout=20)
    assert jars.look("flink").jar is None
    mvn(MAKES_A_JAR)
    assert jars.resolve("flink").read_text() == "built\n"


def test_a_cache_that_cannot_be_written_is_an_error_that_names_the_variable(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FLUENT_PIPE_CACHE", str(tmp_path / "file"))
    with pytest.raises(RunnerError, match="FLUENT_PIPE_CACHE"):
        jars.resolve("flink")


def test_look_tells_the_command_and_makes_nothing(tmp_path):
    assert jars.look("spark").fix == "fluent-pipe runners --prepare spark"
    assert not (tmp_path / "cache").exists()
