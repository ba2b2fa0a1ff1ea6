"""What workers on other machines install: this package, as a wheel of the files that run here, and requirements."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata, resources
from pathlib import Path

from fluent_pipe.caches import cache_folder
from fluent_pipe.errors import ArgumentError, RunnerError

DISTRIBUTION = "fluent-pipe"
DOWNLOAD_SECONDS = 1800
PLATFORM = "manylinux2014_x86_64"  # of Beam's containers

_LEFT_OUT = ("__pycache__", "examples")
_METADATA = ("METADATA", "entry_points.txt")
_DATE = (1980, 1, 1, 0, 0, 0)  # the oldest that zip knows; so that the same files are the same wheel
_REFUSED = re.compile(r"No matching distribution found for (.+)|satisfies the requirement (.+?) \(from")


def wheel(cache: Path | None = None) -> Path:
    """A wheel of this package, made of the very files that run here.

    It needs neither network nor build tools, and is the same for an installed package and for a source tree. One with
    the same content is made once.

    Parameters
    ----------
    cache
        Folder that keeps it. Default: that of :mod:`fluent_pipe.caches`.

    Raises
    ------
    RunnerError
        If the package is not installed, so that nothing is known about what it requires.
    """
    try:
        about = metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        raise RunnerError(
            f"{DISTRIBUTION} runs from a folder and is not installed, so that no wheel of it can be made for workers.",
            fix="pip install -e the folder.",
        ) from None
    stem = f"{DISTRIBUTION.replace('-', '_')}-{about.version}"
    files = {**_package_files(), **_about(about, f"{stem}.dist-info")}
    digest = hashlib.sha256("\n".join(f"{n} {_hash(c)}" for n, c in files.items()).encode()).hexdigest()
    made = (cache or cache_folder()) / "wheels" / digest[:16] / f"{stem}-py3-none-any.whl"
    if not made.is_file():
        made.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=made.parent, delete=False) as file:
            _write(file.name, files, f"{stem}.dist-info/RECORD")
        Path(file.name).replace(made)  # whole or not at all, whoever else is making it
    return made


def requirement_lines(requirements: str | os.PathLike[str] | Sequence[str] | None) -> tuple[str, ...]:
    """What workers are to install, one requirement each.

    Parameters
    ----------
    requirements
        Path of a requirements file, or requirements such as ``"pandera==0.22.1"`` or the path of a wheel.

    Raises
    ------
    ArgumentError
        If the file does not exist or a line is not a requirement.

    Examples
    --------
    >>> requirement_lines(["pandera==0.22.1"])
    ('pandera==0.22.1',)
    >>> requirement_lines(["pandera=0.22"])
    Traceback (most recent call last):
    fluent_pipe.errors.ArgumentError: requirements=: 'pandera=0.22' is not a requirement.
    """
    if requirements is None:
        return ()
    if not isinstance(requirements, str | os.PathLike):
        return tuple(_checked(line, "requirements=") for line in requirements)
    file = Path(requirements)
    if not file.is_file():
        raise ArgumentError(
            f"requirements=: there is no file {str(requirements)!r}.",
            fix="Give the path of a requirements file, or a list such as ['pandera==0.22.1'].",
        )
    lines = [re.sub(r"(^|\s+)#.*", "", line).strip() for line in file.read_text().splitlines()]
    return tuple(_checked(line, f"{file}, line {at}") for at, line in enumerate(lines, 1) if line)


def staged(
    requirements: str | os.PathLike[str] | Sequence[str] | None,
    folder: Path,
    *,
    cache: str | os.PathLike[str] | None = None,
    own: bool = True,
) -> dict[str, object]:
    """Beam's options that have workers install this package, and what is required besides.

    Parameters
    ----------
    requirements
        As :func:`requirement_lines` takes them.
    folder
        Gets the file that Beam reads.
    cache
        Folder that requirements are downloaded into, and staged from. None: workers download them.
    own
        Whether this package is staged; a container may hold it.

    Raises
    ------
    ArgumentError, RunnerError
        As :func:`requirement_lines`, :func:`download` and :func:`wheel` do.
    """
    lines = requirement_lines(requirements)
    files = [line for line in lines if Path(line).is_file()]
    named = [line for line in lines if line not in files]
    if named and cache is not None:
        files += map(str, download(named, Path(cache)))
    if own:
        files.append(str(wheel()))
    # Beam itself would run pip for each job, and show what it prints.
    options: dict[str, object] = {"requirements_cache": "skip", **({"extra_packages": files} if files else {})}
    if named:
        file = folder / "requirements.txt"
        file.write_text("".join(f"{line}\n" for line in named))
        options["requirements_file"] = str(file)
    return options


def download(requirements: Sequence[str], folder: Path) -> list[Path]:
    """Bring what is required below a folder, as wheels for Beam's containers, without what that requires in turn.

    What other requirements have left there stays, and is not among the wheels returned.

    Raises
    ------
    RunnerError
        If one cannot be had; the error names it.
    """
    into = folder / hashlib.sha256("\n".join(requirements).encode()).hexdigest()[:16]
    into.mkdir(parents=True, exist_ok=True)
    tags = ["--only-binary=:all:", "--platform", PLATFORM, "--python-version", "{}.{}".format(*sys.version_info)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check", *tags]
    for requirement in requirements:
        done = subprocess.run(
            [*command, "--dest", str(into), requirement],
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_SECONDS,
            check=False,
        )
        if done.returncode:
            raise _not_had(requirement, done.stderr)
    return sorted(p for p in into.iterdir() if p.suffix == ".whl")


def _not_had(requirement: str, said: str) -> RunnerError:
    if "No module named pip" in said:
        return RunnerError("requirements_cache= needs pip, which is not installed here.", fix="uv pip install pip.")
    lines = [line.removeprefix("ERROR: ") for line in said.splitlines() if line.startswith("ERROR: ")]
    refused = _REFUSED.search(said)
    named = next(filter(None, refused.groups())) if refused else requirement
    return RunnerError(
        f"The requirement {named!r} cannot be had: {lines[-1] if lines else said.strip() or 'pip gave no reason'}.",
        got=requirement,
        fix="Give one that pip finds as a wheel for Linux.",
    )


def _checked(line: str, where: str) -> str:
    from packaging.requirements import InvalidRequirement, Requirement

    if line.endswith((".whl", ".tar.gz", ".zip")):
        if Path(line).is_file():
            return str(Path(line).resolve())
        raise ArgumentError(f"There is no package file {line!r}.", where=where)
    try:
        Requirement(line)
    except InvalidRequirement:
        raise ArgumentError(
            f"{line!r} is not a requirement.", where=where, fix='It is like "pandera==0.22.1", or a wheel\'s path.'
        ) from None
    return line


def _package_files() -> dict[str, bytes]:
    """Content by path inside the wheel; what the build itself packs, see ``setup.cfg``."""
    package = resources.files(__name__.partition(".")[0])
    return dict(sorted(_walk(package, package.name)))


def _walk(folder: resources.abc.Traversable, path: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            if entry.name not in _LEFT_OUT:
                yield from _walk(entry, f"{path}/{entry.name}")
        elif not entry.name.endswith((".pyc", ".pyo")):
            yield f"{path}/{entry.name}", entry.read_bytes()


def _about(distribution: metadata.Distribution, folder: str) -> dict[str, bytes]:
    texts = {name: distribution.read_text(name) for name in _METADATA}
    about = {f"{folder}/{name}": text.encode() for name, text in texts.items() if text}
    made = f"Wheel-Version: 1.0\nGenerator: {DISTRIBUTION}\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    return {**about, f"{folder}/WHEEL": made.encode()}


def _write(path: str, files: Mapping[str, bytes], record: str) -> None:
    lines = [f"{name},sha256={_hash(content)},{len(content)}" for name, content in files.items()]
    listed = {**files, record: "\n".join([*lines, f"{record},,", ""]).encode()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in listed.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), content, zipfile.ZIP_DEFLATED)


def _hash(content: bytes) -> str:
    """As a wheel's RECORD writes it."""
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
