"""A prediction server as a process of its own, for as long as a block lasts.

The process is fresh: started by ``exec``, in an empty folder, without the ``PYTHON*`` variables and the import path of
this one. So it has of the training code what a server elsewhere would have: nothing.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import psutil

import fluent_pipe
from fluent_pipe.errors import ServingError

if TYPE_CHECKING:
    from typing_extensions import Self

START_SECONDS = 60.0
"""For the interpreter to start and to import TensorFlow: about 4 s, longer on a busy machine. Not part of loading."""
LONGEST_LOAD_SECONDS = 600.0
"""After which a model without a limit of its own is taken to hang."""

MEGABYTE = 1e6


class ServerProcess:
    """Serves one SavedModel on loopback, on a free port. Used as a context manager; no process outlives the block.

    Should this process be killed, the server ends by itself.

    Parameters
    ----------
    folder
        A SavedModel.
    name
        Of the model, in its URL.
    load_seconds
        Longest time for the model to load; None for ten minutes.
    start_seconds
        Longest time for the process to come up, which is not part of loading. Default: ``START_SECONDS``.
    scratch
        Folder for what lies on disk while the process lives. Default: that of temporary files.

    Attributes
    ----------
    url
        Of the model, once it is ready.
    load_seconds
        Seconds that loading the model took, as the server measured them: from the first byte of the SavedModel that
        is read until it has answered. Neither the interpreter's start nor TensorFlow's import is in it.
    memory_mb
        The largest resident memory seen so far of the process and its children, in MB (1e6 bytes).
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        *,
        load_seconds: float | None = None,
        start_seconds: float | None = None,
        scratch: Path | None = None,
    ) -> None:
        self._folder = folder
        self._scratch = scratch
        self._name = name
        self._start_limit = START_SECONDS if start_seconds is None else start_seconds
        self._load_limit = load_seconds
        self.url = ""
        self.load_seconds: float | None = None
        self.memory_mb = 0.0
        self._children: list[psutil.Process] = []

    def __enter__(self) -> Self:
        self._place = tempfile.TemporaryDirectory(prefix=".fluent_pipe_serving_", dir=self._scratch)
        place = Path(self._place.name)
        (place / "empty").mkdir()
        self._ready, self._said = place / "ready.json", place / "stderr.txt"
        command = [
            sys.executable, "-m", "fluent_pipe.serving", "--folder", str(self._folder.absolute()), "--name", self._name,
            "--port", "0", "--ready-file", str(self._ready), "--parent", str(os.getpid()),
        ]  # fmt: skip
        try:
            with self._said.open("wb") as said:
                self._process = subprocess.Popen(
                    command,
                    cwd=place / "empty",
                    env=_environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                    start_new_session=True,  # Ctrl-C is ours to act on; and the whole group can be ended
                )
        except OSError as error:
            self._place.cleanup()
            raise ServingError(f"The prediction server cannot be started: {error}.") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def wait(self, *, watch: Callable[[], None] = lambda: None) -> None:
        """Wait until the model answers.

        Parameters
        ----------
        watch
            Called ten times a second; what it raises ends the wait.

        Raises
        ------
        ServingError
            If the process ends, or the model is not there in time.
        """
        limit = self._start_limit + (self._load_limit or LONGEST_LOAD_SECONDS)
        end = time.monotonic() + limit
        while not self._ready.exists():
            watch()
            self.check()
            if time.monotonic() > end:
                raise ServingError(
                    f"The model did not load: the server did not answer for it within {limit:g} s "
                    f"({self._start_limit:g} s to start, {limit - self._start_limit:g} s to load), and was ended.",
                    fix="Look for what does not end in the SavedModel: in its initializers, or in its answers, since "
                    "warm-up requests are part of loading.",
                )
            time.sleep(0.1)
        ready = json.loads(self._ready.read_text())
        self.url = f"http://127.0.0.1:{ready['port']}/v1/models/{self._name}"
        self.load_seconds = float(ready["load_seconds"])

    def check(self, *, seconds: float = 0) -> None:
        """See that the process is alive, and measure its memory.

        Parameters
        ----------
        seconds
            How long to wait for its end; a broken connection is seen before the end of the process that broke it.

        Raises
        ------
        ServingError
            If it has ended; with its exit code or signal, and its last words.
        """
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=seconds)
        code = self._process.returncode
        if code is None:
            self.memory_mb = max(self.memory_mb, self._resident() / MEGABYTE)
            return
        if self.load_seconds is None and code > 0:
            raise ServingError(f"The model does not load in a fresh process: {self._last_line()}")
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        when = "while it answered" if self.load_seconds is not None else "while it loaded the model"
        last = self._last_line()
        raise ServingError(
            f"The server {how} {when}." + (f" Its last words: {last}" if last else ""),
            fix="SIGKILL is most often for want of memory." if code == -signal.SIGKILL else None,
        )

    def stop(self) -> None:
        """End the process and whatever it has started."""
        self._look_for_children()
        with suppress(ProcessLookupError):
            if self._process.poll() is None:  # else its number may be another's by now
                os.killpg(self._process.pid, signal.SIGKILL)  # nothing that it holds is worth a longer good-bye
        for child in self._children:
            with suppress(psutil.Error):
                child.kill()
        self._process.wait()
        psutil.wait_procs(self._children, timeout=5)
        self._place.cleanup()

    def _look_for_children(self) -> None:
        """Remember them, since those of a process that has died cannot be found."""
        with suppress(psutil.Error):
            self._children = psutil.Process(self._process.pid).children(recursive=True)

    def _resident(self) -> int:
        self._look_for_children()
        total = 0
        with suppress(psutil.Error):
            for process in [psutil.Process(self._process.pid), *self._children]:
                total += process.memory_info().rss
        return total

    def _last_line(self) -> str:
        lines = self._said.read_text(errors="replace").splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    root = Path(fluent_pipe.__file__).parents[1]
    if root.name not in ("site-packages", "dist-packages"):
        kept["PYTHONPATH"] = str(root)
    # TensorFlow in this process may have taken all of a GPU's memory, so the server answers from the processor.
    return kept | {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"}
