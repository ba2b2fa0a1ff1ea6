"""From staging to published: by one rename on a disk, by a manifest that is written last on an object store."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from fluent_pipe import mirror, progress
from fluent_pipe.artifacts import Artifact
from fluent_pipe.mirror import Root
from fluent_pipe.remote import joined, put, write_bytes
from fluent_pipe.store.content import files_of, of_files
from fluent_pipe.store.files import Staging, new_execution_name, publish, writing
from fluent_pipe.store.flushing import flush
from fluent_pipe.store.manifest import Manifest
from fluent_pipe.store.remote_stage import RemoteStage
from fluent_pipe.store.stage import Stage, Staged

_MB = 1e6


class DiskStage(Staging):
    """Staging on this machine's disk, which workers see too.

    Its executions are renamed into a local root, or uploaded to one on an object store.
    """

    root: Root
    pipeline: str

    @classmethod
    def of(cls, root: Root, pipeline: str) -> DiskStage:
        """Make and lock a staging folder in the home of a root.

        Raises
        ------
        StoreError
            If it cannot be written.
        """
        made = cls.create(root.home / pipeline)
        made.root, made.pipeline = root, pipeline
        return made

    @property
    def where(self) -> str:
        """For messages."""
        return str(self.path)

    def staged(self, step_id: str, produces: tuple[type[Artifact], ...]) -> Staged:
        """What a step has left there, without hidden files."""
        folder = self.path / step_id
        with writing(folder):
            for path in folder.glob(".*"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        files = files_of(folder)
        fingerprint = of_files({n: value for n, (_, value) in files.items()}, leave_out=produces[0].copies)
        return Staged(step_id, new_execution_name(), folder, files, fingerprint)

    def publish(self, staged: Staged, manifest: Manifest) -> None:
        """Have it exist: by one rename, or by a manifest that is written when all files are there."""
        destination = self.root.home / self.pipeline / staged.step / staged.execution
        if not self.root.url:
            with writing(destination):
                publish(staged.folder, destination)
            return
        url = self.root.url_of(destination)
        sizes = {name: size for name, (size, _) in staged.files.items()}
        put({joined(url, name): staged.folder / name for name in sizes}, _told(staged.step, sum(sizes.values())))
        content = manifest.encoded()
        write_bytes(mirror.manifest_url(url), content)
        with writing(destination):  # so that this machine need not fetch it
            flush(staged.folder)
            destination.parent.mkdir(parents=True, exist_ok=True)
            mirror.finish_copy(staged.folder, destination, content)


def stage(root: Root, pipeline: str, *, shared_disk: bool) -> Stage:
    """Where the steps of one job write, so that its workers can.

    Parameters
    ----------
    shared_disk
        Whether they see this machine's disk.
    """
    return DiskStage.of(root, pipeline) if shared_disk else RemoteStage(root, pipeline)


def _told(step: str, size: int) -> Callable[[int], None]:
    """Says how far an upload of that many bytes is; raises if the run was asked to stop."""
    gone = [0]

    def tell(more: int) -> None:
        gone[0] += more
        progress.report(step, detail=f"uploading, {gone[0] / _MB:,.1f} of {size / _MB:,.1f} MB")

    return tell
