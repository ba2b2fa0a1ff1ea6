"""Job servers start, answer and end: quick with a stand-in for Java, and for real where Java and the jar are."""

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from fluent_pipe.errors import RunnerError
from fluent_pipe.runners import jars, job_server
from fluent_pipe.runners.job_server import JobServer
from tests import needs
from tests.runners.waiting import wait_for

LISTENS = textwrap.dedent("""
    given = dict(a.split("=", 1) for a in sys.argv if a.startswith("--") and "=" in a)
    print("\\n".join(sys.argv), flush=True)
    with socket.create_server(("127.0.0.1", int(given["--job-port"]))):
        time.sleep(600)
""")

STARTER = """
import sys, time
from pathlib import Path
import psutil
from fluent_pipe.runners.job_server import JobServer
with JobServer.{kind}(Path({jar!r}), log=Path({log!r})) as server:
    print(server.endpoint, *[p.pid for p in psutil.Process().children(recursive=True)], flush=True)
    time.sleep(600)
"""


@pytest.fixture
def log(tmp_path):
    return tmp_path / "server.log"


def processes():
    return psutil.Process().children(recursive=True)


def test_the_server_lives_as_long_as_the_block(commands, tmp_path, log):
    commands.java("17.0.15", LISTENS)
    with JobServer.flink(tmp_path / "a.jar", log=log, memory="3g") as server:
        host, port = server.endpoint.split(":")
        started = processes()
        server.check()
        arguments = log.read_text().splitlines()
        folder = Path(next(a for a in arguments if a.startswith("--flink-conf-dir=")).partition("=")[2])
        assert folder.is_dir()
    assert host == "localhost"
    assert {"-Xmx3g", "-jar", str(tmp_path / "a.jar"), "--flink-master=[local]", "--job-host=localhost"} <= set(
        arguments
    )
    assert f"--job-port={port}" in arguments
    assert psutil.wait_procs(started, timeout=5)[1] == []
    assert not folder.exists()
    with pytest.raises(RunnerError, match="has ended"):
        server.check()


@pytest.mark.parametrize("file", ["flink-conf.yaml", "config.yaml"])
def test_flink_gets_its_settings_from_a_folder(commands, tmp_path, log, file):
    commands.java(
        "17.0.15",
        f"import pathlib\nfolder = sys.argv[-1].partition('=')[2]\n"
        f"print(pathlib.Path(folder, {file!r}).read_text(), flush=True)\n" + LISTENS,
    )
    with JobServer.flink(tmp_path / "a.jar", log=log, settings={"taskmanager.memory.network.max": "1gb"}):
        said = log.read_text()
    assert "taskmanager.memory.network.min: 256mb\ntaskmanager.memory.network.max: 1gb\n" in said


def test_a_cluster_has_its_own_settings(commands, tmp_path, log):
    commands.java("17.0.15", LISTENS)
    with JobServer.flink(tmp_path / "a.jar", log=log, master="localhost:8081"):
        assert "--flink-conf-dir" not in log.read_text()
    with JobServer.flink(tmp_path / "a.jar", log=log, conf_dir=tmp_path):
        assert f"--flink-conf-dir={tmp_path}\n" in log.read_text()


def test_spark_gets_its_settings_as_properties(commands, tmp_path, log):
    commands.java("17.0.15", LISTENS)
    with JobServer.spark(tmp_path / "a.jar", log=log, master="local[2]", settings={"spark.a": "b"}):
        arguments = log.read_text().splitlines()
    assert arguments.index("-Dspark.a=b") < arguments.index("-jar") < arguments.index("--spark-master-url=local[2]")
    assert "-Dspark.ui.enabled=false" in arguments
    assert "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED" in arguments


def test_a_server_that_ends_at_once_tells_its_last_words_and_its_log(commands, tmp_path, log):
    log.write_text("of an earlier server\n")
    body = "print('WARNING bad\\njava.io.IOException: no disk\\n\\tat a.B.c(B.java:1)'); sys.exit(0)"
    commands.java("17.0.15", body)
    with pytest.raises(RunnerError) as error, JobServer.flink(tmp_path / "a.jar", log=log):
        pass
    assert str(error.value) == f"{log}: The job server does not start: WARNING bad / java.io.IOException: no disk."
    assert log.read_text().startswith("of an earlier server\n")


def test_a_port_that_was_taken_meanwhile_is_given_up_for_another(commands, tmp_path, log):
    first = tmp_path / "first"
    commands.java(
        "17.0.15",
        f"if not os.path.exists({str(first)!r}):\n    open({str(first)!r}, 'w').close()\n"
        "    sys.exit('bind(..) failed: Address already in use')\n" + LISTENS,
    )
    with JobServer.flink(tmp_path / "a.jar", log=log) as server:
        server.check()


def test_a_server_that_never_answers_is_ended(commands, tmp_path, log, monkeypatch):
    monkeypatch.setattr(job_server, "START_SECONDS", 1.0)
    commands.java("17.0.15", "time.sleep(600)")
    before = processes()
    with pytest.raises(RunnerError, match="did not answer within 1 s"), JobServer.flink(tmp_path / "a.jar", log=log):
        pass
    assert processes() == before


def test_no_java_is_an_error_before_anything_starts(commands, tmp_path, log):
    with pytest.raises(RunnerError, match="need Java"):
        JobServer.spark(tmp_path / "a.jar", log=log)
    assert not log.exists()


@pytest.fixture(params=jars.KINDS)
def real(request):
    """A kind of job server, and its jar."""
    return request.param, needs.job_server(request.param)


@pytest.mark.slow
def test_a_real_server_answers_and_is_gone_after_the_block(real, log):
    import grpc
    from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

    kind, jar = real
    with getattr(JobServer, kind)(jar, log=log) as server:
        started = processes()
        assert any("java" in p.name() for p in started)
        with grpc.insecure_channel(server.endpoint) as channel:
            jobs = beam_job_api_pb2_grpc.JobServiceStub(channel).GetJobs(beam_job_api_pb2.GetJobsRequest(), timeout=30)
        assert list(jobs.job_info) == []
    assert psutil.wait_procs(started, timeout=5)[1] == []


@pytest.mark.slow
def test_a_real_server_is_gone_when_its_starter_is_killed(real, log):
    kind, jar = real
    code = STARTER.format(kind=kind, jar=str(jar), log=str(log))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as starter:
        endpoint, *pids = starter.stdout.readline().split()
        started = [psutil.Process(int(pid)) for pid in pids]
        assert len(started) == 2
        assert endpoint.startswith("localhost:")
        starter.send_signal(signal.SIGKILL)
    wait_for(lambda: not any(p.is_running() for p in started))
