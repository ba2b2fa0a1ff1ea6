"""The ``fluent-pipe`` command."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from fluent_pipe.errors import ArgumentError, FluentPipeError, Interrupted, TemplateWritten
from fluent_pipe.runner_flags import RunnerCommand, RunnerName

if TYPE_CHECKING:
    from fluent_pipe import mirror
    from fluent_pipe.pipeline import Pipeline
    from fluent_pipe.run import Run
    from fluent_pipe.store.metadata import MetadataStore, StoredRun

EXIT_CODES = (
    "Exit codes: 0 done; 1 the run failed; 2 the command line or the file is not valid; "
    "3 not pushed or not scored, since the model was refused; 4 waiting for approval; 130 stopped by Ctrl-C."
)

ENDS = {"not pushed": 3, "not scored": 3, "waiting": 4}

app = typer.Typer(
    help="Run fluent_pipe pipelines and look at their runs.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

File = Annotated[str, typer.Argument(metavar="FILE[:NAME]", help="A Python file that makes a Pipeline, and its name.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set a global of FILE before it runs; repeatable."),
]
Root = Annotated[
    str | None,
    typer.Option("--root", help="Folder or URL of all results. Default: FLUENT_PIPE_ROOT, else .fluent_pipe."),
]


Metadata = Annotated[
    str | None, typer.Option("--metadata", help="URL of the metadata store, where it is not in the root.")
]


@app.command(cls=RunnerCommand, epilog=EXIT_CODES)
def demo(
    root: Root = None,
    runner: RunnerName = None,
    push: Annotated[Path, typer.Option(help="Where the model is pushed to.")] = Path("serving/flights"),
    full: Annotated[bool, typer.Option("--full", help="Tune, prove servable and score as well: minutes.")] = False,
    predictions: Annotated[Path, typer.Option(help="Where --full writes predictions.")] = Path("predictions/flights"),
) -> None:
    """Run the flights example: 336,776 flights, from a CSV to a pushed model; with --full every step there is."""
    from fluent_pipe import loading

    settings: dict[str, Any] = {"SERVING": str(push), "PREDICTIONS": str(predictions)}
    chosen = "pipeline" if full else "short"
    _run(loading.load(f"{loading.example('flights/pipeline.py')}:{chosen}", settings, root), runner, refresh=())


@app.command("run", cls=RunnerCommand, epilog=EXIT_CODES)
def run_file(
    file: File,
    settings: Set = None,
    root: Root = None,
    runner: RunnerName = None,
    refresh: Annotated[list[str] | None, typer.Option(help="A step to run although it is cached; repeatable.")] = None,
) -> None:
    """Run the pipeline of FILE."""
    from fluent_pipe import loading

    _run(loading.load(file, loading.parse(settings or []), root), runner, refresh=tuple(refresh or ()))


@app.command(cls=RunnerCommand, epilog=EXIT_CODES)
def explain(file: File, settings: Set = None, root: Root = None, runner: RunnerName = None) -> None:
    """Print the plan of FILE: steps, cache state and Beam jobs, and where they would run. Runs nothing."""
    from fluent_pipe import loading

    print(loading.load(file, loading.parse(settings or []), root).plan(runner))


@app.command(epilog=EXIT_CODES)
def runs(
    pipeline: Annotated[str | None, typer.Argument(help="Only the runs of this pipeline.")] = None,
    root: Root = None,
    metadata: Metadata = None,
    limit: Annotated[int, typer.Option(help="At most this many, newest first.")] = 20,
) -> None:
    """List past runs, newest first."""
    from fluent_pipe.display.text import text_table
    from fluent_pipe.store import approvals

    def state(run: StoredRun) -> str:
        if approvals.waiting_for(_root(root).home / run.pipeline, run.id) is None:
            return run.state
        return "waiting for approval" if run.state == "waiting" else f"{run.state}, waiting for approval"

    rows = [
        {
            "run": r.id,
            "pipeline": r.pipeline,
            "state": state(r),
            "started": f"{r.started:%Y-%m-%d %H:%M:%S}",
            "seconds": round((r.finished - r.started).total_seconds(), 1) if r.finished else None,
        }
        for r in _store(root, metadata).runs(pipeline, limit=limit)
    ]
    print(text_table(rows) if rows else "No runs yet.")


@app.command(epilog=EXIT_CODES)
def show(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id of a run, or its beginning.")],
    root: Root = None,
    metadata: Metadata = None,
) -> None:
    """Print one past run: its steps, their times and folders, what it waits for, its log and report."""
    from fluent_pipe.display.text import text_table
    from fluent_pipe.store import approvals

    found = _store(root, metadata).run(run)
    if found is None:
        raise ArgumentError(f"There is no run {run!r}.", fix="`fluent-pipe runs` lists them.")
    print(f"{found.id}  {found.pipeline}  {found.state}")
    if found.properties.get("reason"):
        print(found.properties["reason"])
    where = _root(root)
    rows = [
        {
            "step": s.step,
            "state": s.state,
            "seconds": round(s.seconds, 2),
            "folder": where.url_of(s.path) or str(s.path) if s.path else s.note,
        }
        for s in found.steps
    ]
    print(text_table(rows))
    request = approvals.waiting_for(where.home / found.pipeline, found.id)
    if request is not None:
        print(f"waiting for approval: {request.command(found.id)}")
    log = where.home / found.pipeline / "runs" / found.id / "log.txt"
    print(f"log: {log if log.exists() else where.url_of(log) or log}")
    report = log.with_name("report.html")
    if report.exists() or where.url:
        print(f"report: {report if report.exists() else where.url_of(report)}")


@app.command(epilog=EXIT_CODES)
def approve(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id of a run that waits, or its beginning.")],
    *,
    reject: Annotated[bool, typer.Option("--reject", help="Do not let the model be pushed.")] = False,
    note: Annotated[str, typer.Option(help="Why, in your words; kept with the decision.")] = "",
    by: Annotated[str | None, typer.Option(help="Who decides. Default: the user of the system.")] = None,
    root: Root = None,
) -> None:
    """Approve, or reject, the model that RUN waits to push. The process of RUN need not be there any more."""
    from fluent_pipe.store import approvals

    if by is not None and not by.strip():
        raise ArgumentError("--by takes a name.")
    name, request = approvals.find(_root(root).home, run)
    request.decide(approved=not reject, by=by or _user(), note=note)
    print(f"{name}: {approvals.in_words(request.facts()['decision'])}")
    if not request.is_watched:
        print("Its process is gone: run the pipeline again, and it goes on from here.")


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number that no user has
        return f"user {os.getuid()}"


@app.command(epilog=EXIT_CODES)
def serve(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where push_to() pushed: a folder of versions; or a SavedModel.")
    ],
    name: Annotated[str | None, typer.Option(help="Of the model, in the URL. Default: DIR's name.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for a free one.")] = 8501,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all of them.")] = "127.0.0.1",
    signature: Annotated[
        str | None,
        typer.Option(help="For requests that name none. Default: serving_raw for columns, else serving_default."),
    ] = None,
    max_request_mb: Annotated[float, typer.Option(min=0.001, help="Largest request, in MiB.")] = 32,
    timeout: Annotated[float, typer.Option(min=0.001, help="Most seconds for an answer.")] = 30,
    max_batch: Annotated[int, typer.Option(min=1, help="Most rows that requests share a run for; 1: none.")] = 1024,
    max_waiting: Annotated[int, typer.Option(min=1, help="Requests that may wait; more are refused.")] = 1024,
    threads: Annotated[int, typer.Option(min=1, help="Runs of the model at once.")] = 2,
) -> None:
    """Serve the model in DIR over HTTP, on TensorFlow Serving's REST paths. New versions are taken up as they come."""
    from fluent_pipe.serving import command
    from fluent_pipe.serving.limits import Limits

    limits = Limits(int(max_request_mb * 1024 * 1024), timeout, max_batch, max_waiting, threads)
    try:
        command.run(folder, name, host=host, port=port, limits=limits, signature=signature)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


@app.command(epilog=EXIT_CODES)
def ui(
    root: Root = None,
    metadata: Metadata = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for a free one.")] = 8511,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 for all of them: whoever reaches it sees every run.")
    ] = "127.0.0.1",
    browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = False,
) -> None:
    """Show the runs of a root as a web page: how they went, metrics over time, two side by side. Changes nothing."""
    from fluent_pipe.ui.server import serve

    where = _root(root)
    if not where.url and not where.home.is_dir():
        raise _no_store(where)

    def started(url: str) -> None:
        print(f"The runs of {where} are at {url}; Ctrl-C ends it.", flush=True)
        if browser:
            import webbrowser

            webbrowser.open(url)

    try:
        serve(where, metadata, host=host, port=port, started=started)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


@app.command("worker-pool", epilog=EXIT_CODES)
def worker_pool(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for a free one.")] = 50000,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all of them.")] = "127.0.0.1",
    log: Annotated[Path | None, typer.Option(help="File for what workers print. Default: nowhere.")] = None,
) -> None:
    """Start Python workers for a Flink or Spark cluster, as it asks for them: run it beside each of its machines."""
    import time

    from fluent_pipe.runners.worker_pool import WorkerPool, serving

    with serving(WorkerPool(processes=True, log=log, packages=True), host=host, port=port) as address:
        print(f"Workers at {address}. Ctrl-C ends them.", flush=True)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            raise typer.Exit(130) from None


@app.command(epilog=EXIT_CODES)
def runners(
    prepare: Annotated[
        str | None, typer.Option(metavar="flink|spark", help="Get the jar of its job server ready, ahead of a run.")
    ] = None,
) -> None:
    """List where pipelines can run, what each has found here, and the command that brings what is missing."""
    from fluent_pipe.runners import available, jars, java

    if prepare is None:
        from fluent_pipe.display.text import text_table

        print(text_table([found.row() for found in available.everything()]))
        return
    kind = next((k for k in jars.KINDS if k == prepare), None)
    if kind is None:
        raise ArgumentError(f"--prepare takes no {prepare!r}.", got=prepare, valid=jars.KINDS)
    java.find()
    print(jars.resolve(kind, say=lambda text: print(text, file=sys.stderr)))


def _root(root: str | None) -> mirror.Root:
    from fluent_pipe import mirror
    from fluent_pipe.steps.paths import default_root

    return mirror.Root.of(root or default_root())


def _store(root: str | None, metadata: str | None) -> MetadataStore:
    from fluent_pipe.store.manifests import Manifests
    from fluent_pipe.store.metadata import MetadataStore

    where = _root(root)
    if not where.url and not where.home.is_dir():
        raise _no_store(where)
    if where.url:
        Manifests(where.url).reach()
    store = MetadataStore.open(where, metadata, create=bool(where.url))
    store.sync()
    return store


def _no_store(where: mirror.Root) -> ArgumentError:
    return ArgumentError(f"There is no store at {where}.", fix="Give --root, or run a pipeline first.")


def _run(pipeline: Pipeline, runner: str | None, *, refresh: tuple[str, ...]) -> None:
    from fluent_pipe.report.terminal import terminal_report

    try:
        run: Run = pipeline.run(runner, refresh=refresh)
    except Interrupted as error:  # before the command-line library makes an "Aborted!" of it
        print(f"{error}", file=sys.stderr)
        raise typer.Exit(130) from None
    print(terminal_report(run))
    if run.state in ENDS:
        raise typer.Exit(ENDS[run.state])


def main() -> NoReturn:
    """Entry of the command: errors of ours become a message and an exit code."""
    code: int | str | None = 0
    try:
        app()
    except SystemExit as end:
        code = end.code
    except TemplateWritten as written:  # as was asked for
        print(written)
    except FluentPipeError as error:
        step = f" in {error.step}" if error.step else ""
        print(f"Error{step}: {error}", file=sys.stderr)
        code = 2 if isinstance(error, ArgumentError) else 1
    sys.stdout.flush()
    sys.stderr.flush()
    if "tensorflow" in sys.modules:
        os._exit(code if isinstance(code, int) else 1)  # TensorFlow and Beam take seconds, and are noisy, to tear down
    sys.exit(code)


if __name__ == "__main__":
    main()
