"""What ``fluent-pipe serve`` does and says."""

from __future__ import annotations

import logging
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fluent_pipe.errors import ArgumentError
from fluent_pipe.serving.limits import Limits
from fluent_pipe.serving.server import Started, serve

if TYPE_CHECKING:
    from fluent_pipe.serving.model import Input, LoadedModel


def run(folder: Path, name: str | None, *, host: str, port: int, limits: Limits, signature: str | None) -> None:
    """Serve until Ctrl-C or SIGTERM; tell on standard output where, and how to ask.

    Raises
    ------
    ArgumentError
        If ``name`` cannot stand in a path.
    ServingError
        If the port cannot be had, or no version loads.
    KeyboardInterrupt
        After Ctrl-C, once the requests under way are answered.
    """
    name = name or folder.resolve().name or "model"
    if not name or set(name) & set("/:?#%") or not name.isprintable():
        raise ArgumentError(f"A model cannot be named {name!r}: the name is part of a URL.", fix="Give --name.")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    log = logging.getLogger("fluent_pipe.serving")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False

    def started(told: Started) -> None:
        url = f"{told.url}/v1/models/{quote(name)}"
        print(f"Serving version {told.model.version.number} of {name} at {url}; Ctrl-C ends it. Try:")
        print(f"  curl -d {shlex.quote(example_request(told.model, signature))} {url}:predict", flush=True)

    serve(folder, name, host=host, port=port, limits=limits, signature=signature, started=started)


def example_request(model: LoadedModel, signature: str | None = None) -> str:
    """The body of a request that the model takes: a row of its warm-up requests, else one that is made up.

    Parameters
    ----------
    model
        Loaded.
    signature
        That of requests which name none, where it is not chosen by what they hold.
    """
    from fluent_pipe.serving.model import COLUMNS_SIGNATURE, DEFAULT_SIGNATURE
    from fluent_pipe.serving.rest import dumped, writable
    from fluent_pipe.serving.trial import example

    names = [n for n in (signature, COLUMNS_SIGNATURE, DEFAULT_SIGNATURE) if n in model.signatures]
    name = names[0] if names else next(iter(model.signatures))
    inputs = model.signatures[name].inputs
    real = example(model, name)
    row: Any = {n: writable(n, real[n])[0] if real else _made_up(each) for n, each in inputs.items()}
    if len(inputs) == 1 and name != COLUMNS_SIGNATURE:
        row = next(iter(row.values()))
    named = {} if name in (signature, COLUMNS_SIGNATURE, DEFAULT_SIGNATURE) else {"signature_name": name}
    return dumped(named | {"instances": [row]}).decode()


def _made_up(each: Input) -> Any:
    value: Any = 1.0 if each.dtype.is_floating else True if each.dtype.is_bool else 1
    if each.dtype == "string":
        # Most signatures that take texts without missing values take serialized examples, and this is an empty one.
        value = "text" if each.missing is not None else {"b64": ""}
    for size in reversed((each.shape or (None,))[1:]):
        value = [value] * (size or 1)
    return value
