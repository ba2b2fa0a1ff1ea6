"""Which version of a model answers: the newest that loads, found anew as its folder changes."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fluent_pipe.errors import ServingError
from fluent_pipe.serving.folder import Version, some_versions, versions
from fluent_pipe.serving.limits import Limits
from fluent_pipe.serving.model import LoadedModel, reason
from fluent_pipe.serving.tensors import RequestError
from fluent_pipe.serving.trial import try_out

log = logging.getLogger("fluent_pipe.serving")


@dataclass
class _Served:
    """A model and how many requests it is answering."""

    model: LoadedModel
    users: int = 0


@dataclass
class Versions:
    """The versions of one model. All but :meth:`newest` runs in the event loop's thread.

    Parameters
    ----------
    folder
        See :func:`fluent_pipe.serving.folder.versions`.
    signature
        One that a version must have; None for any.
    seconds
        After which a run is broken off.
    changed
        Told of each version that now answers.
    """

    folder: Path
    signature: str | None = None
    seconds: float = Limits.seconds
    changed: Callable[[LoadedModel], None] | None = None
    _now: _Served | None = None
    _leaving: list[_Served] = field(default_factory=list)
    _failed: dict[int, tuple[Version, str]] = field(default_factory=dict)
    _loading: Version | None = None
    _before: list[Version] = field(default_factory=list)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="load"))

    @property
    def current(self) -> LoadedModel:
        """The model that answers."""
        assert self._now is not None
        return self._now.model

    def start(self) -> None:
        """Load the newest version that loads.

        Raises
        ------
        ServingError
            If there is none that loads; with the reason of the newest.
        """
        found = some_versions(self.folder)
        model = self.newest(found)
        if model is None:
            raise ServingError(self._failed[found[0].number][1])
        for number, (_, why) in self._failed.items():
            log.warning("version %d does not load: %s", number, why)
        self._swap(model)

    async def watch(self, seconds: float) -> None:
        """Look at the folder every ``seconds``, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(seconds)
            try:
                found = await loop.run_in_executor(self._pool, versions, self.folder)
                model = await loop.run_in_executor(self._pool, self.newest, found) if self._is_news(found) else None
            except ServingError as error:  # the folder is away: a disk that comes back, or the end of the model
                log.debug("%s", error)
            except Exception:
                log.exception("looking for versions failed")  # to go on serving matters more
            else:
                if model is not None:
                    self._swap(model)
                self._before = found
                for number in set(self._failed) - {version.number for version in found}:
                    del self._failed[number]

    def newest(self, found: list[Version]) -> LoadedModel | None:
        """Load the newest of ``found`` that loads; None if that is the current one, or none loads."""
        for version in found:
            if self._now is not None and version == self._now.model.version:
                return None
            failed = self._failed.get(version.number, (None, ""))[0]
            # Tried again when it has changed, and has then stood still: a copy that goes on would fail again and again.
            if failed is not None and (failed == version or version not in self._before):
                continue
            self._loading = version
            try:
                model = self._loaded(version)
            except Exception as error:
                why = str(error) if isinstance(error, ServingError) else reason(error)
                self._failed[version.number] = (version, why)
                if self._now is not None:
                    stays = self._now.model.version.number
                    log.warning("version %d does not load; version %d stays: %s", version.number, stays, why)
            else:
                self._failed.pop(version.number, None)
                return model
            finally:
                self._loading = None
        return None

    @contextmanager
    def using(self, number: int | None = None) -> Iterator[LoadedModel]:
        """The current model; it is not released before the block ends.

        Raises
        ------
        RequestError
            With status 404, if another version is asked for.
        """
        served = self._now
        assert served is not None
        if number is not None and number != served.model.version.number:
            why = self._failed.get(number, (None, ""))[1]
            raise RequestError(
                404,
                f"Version {number} is not served{f', since it does not load: {why}' if why else '.'}",
                valid=[served.model.version.number],
            )
        served.users += 1
        try:
            yield served.model
        finally:
            served.users -= 1
            if served is not self._now and not served.users:
                self._release(served)

    def status(self) -> list[dict[str, Any]]:
        """``model_version_status`` as TensorFlow Serving has it, newest first."""
        found = {self.current.version.number: ("AVAILABLE", "")}
        found |= {served.model.version.number: ("UNLOADING", "") for served in self._leaving if served is not self._now}
        found |= {self.current.version.number: ("AVAILABLE", "")}
        for number, (_, why) in list(self._failed.items()):
            found.setdefault(number, ("END", why))
        if self._loading is not None:
            found.setdefault(self._loading.number, ("LOADING", ""))
        return [
            {
                "version": str(number),
                "state": state,
                "status": {"error_code": "INTERNAL" if why else "OK", "error_message": why},
            }
            for number, (state, why) in sorted(found.items(), reverse=True)
        ]

    def _is_news(self, found: list[Version]) -> bool:
        return bool(found) and (self._now is None or found[0] != self._now.model.version)

    def _loaded(self, version: Version) -> LoadedModel:
        model = LoadedModel(version, seconds=self.seconds)
        try:
            if self.signature is not None and self.signature not in model.signatures:
                raise ServingError(
                    f"The model has no signature {self.signature!r}.",
                    where=str(version.path),
                    got=self.signature,
                    valid=sorted(model.signatures),
                )
            try_out(model)
        except BaseException:
            model.close()
            raise
        return model

    def _swap(self, model: LoadedModel) -> None:
        before, self._now = self._now, _Served(model)
        log.info("version %d answers, loaded in %.1f s", model.version.number, model.load_seconds)
        if self.changed is not None:
            self.changed(model)
        if before is not None:
            self._leaving.append(before)
            if not before.users:
                self._release(before)

    def _release(self, served: _Served) -> None:
        self._leaving.remove(served)
        log.info("version %d is released", served.model.version.number)
        with suppress(RuntimeError):  # the server is ending
            self._pool.submit(_close, served.model)


def _close(model: LoadedModel) -> None:
    model.close()
    del model
    gc.collect()  # a graph refers to itself all over
