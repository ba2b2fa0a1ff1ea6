"""Build a job server's jar from Beam's plain Maven artifacts, by the Maven files beside this one."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path

from fluent_pipe.errors import RunnerError
from fluent_pipe.runners import tied

INSTALL = "apt-get install maven"
LAST_LINES = 3
MAVEN = Path(__file__).with_name("maven")


class NoSuchVersion(RunnerError):
    """The registry has no artifacts of that Beam."""


def build(kind: str, version: str, *, work: Path, say: Callable[[str], None]) -> Path:
    """Build a jar by ``mvn``, which keeps what it downloads for the next time.

    Parameters
    ----------
    kind
        ``"flink"`` or ``"spark"``.
    version
        Of Beam.
    work
        A folder for everything that is made, the jar among it.
    say
        Told that it begins.

    Returns
    -------
    Path
        The jar, in ``work``.

    Raises
    ------
    NoSuchVersion
        If there are no artifacts of that version.
    RunnerError
        If ``mvn`` is missing, or fails; with its last words and the file of all of them.
    """
    other = f"Or give a jar: fp.runners.{kind.title()}(jar=...)."
    mvn = shutil.which("mvn")
    if mvn is None:
        raise RunnerError(
            f"The {kind.title()} job server has to be built, and there is no mvn (Apache Maven) on the path.",
            fix=f"Install it, for example by `{INSTALL}`. {other}",
        )
    say(f"Building the {kind.title()} job server of Beam {version} with mvn: once, one to two minutes.")
    shutil.copyfile(MAVEN / f"{kind}.xml", work / "pom.xml")
    # Beside the folder that the next attempt empties, since the error names it.
    log = work.with_name(f"build-{kind}.log")
    command = [mvn, "--batch-mode", "--no-transfer-progress", f"-Dbeam.version={version}", "package"]
    with log.open("wb") as file:
        process = tied.start(command, file, folder=work)
        try:
            code = process.wait()
        finally:
            tied.stop(process)
    jar = work / "target/job-server.jar"
    if code == 0 and jar.is_file():
        return jar
    errors = _errors(log.read_text(errors="replace"))
    # "Could not find artifact ..." the first time; "... was not found in ... during a previous attempt" later on.
    beams = re.compile(rf"org\.apache\.beam:\S+:{re.escape(version)}\b")
    missing = any(beams.search(error) and re.search("find|found", error) for error in errors)
    raise (NoSuchVersion if missing else RunnerError)(
        f"mvn could not build the {kind.title()} job server of Beam {version} (exit code {code}): "
        f"{' / '.join(errors) or 'it said nothing'}.",
        where=str(log),
        fix=f"The file has all that mvn said. {other}",
    )


def _errors(said: str) -> list[str]:
    """What a Maven log says went wrong; after an empty error it goes on about where to read more."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line.removeprefix("[ERROR]").strip() for line in lines if line.startswith("[ERROR]")]
    told = [error.partition(" -> [Help")[0].rstrip(".") for error in takewhile(bool, errors)]
    return told[:LAST_LINES] or lines[-LAST_LINES:]
