"""Throughput and latency of the prediction server at 1, 8 and 64 clients, with batching and without, in one run.

Each client sends a request of one row, waits for its answer and sends the next, over one connection. All clients are
one process, beside the server's. Without ``--folder`` the default model is trained on 2,000 made-up taxi trips first.

Examples
--------
::

    python benchmarks/serving.py
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

ROWS: list[dict[str, Any]] = [
    {
        "city": city,
        "hour": hour,
        "miles": 0.5 + hour,
        "fare": None if hour % 7 == 0 else 3 + 2.1 * hour,
        "company": f"Company {hour % 5}",
    }
    for city in ("Graz", "Linz", "Wien")
    for hour in range(24)
]
"""Requests go through these in turn."""


class Client(asyncio.Protocol):
    """One connection of HTTP/1.1; a library's client would take more time than the server."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answered: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        if len(rest) < length:
            return
        assert self._answered is not None
        if b" 200 " not in head[:16]:
            self._answered.set_exception(RuntimeError(self._buffer.decode()))
        else:
            self._answered.set_result(rest[:length])
        self._buffer = b""

    async def ask(self, request: bytes) -> bytes:
        """Send; the body of the answer."""
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answered


async def measured(port: int, requests: list[bytes], clients: int, seconds: float) -> tuple[list[float], float]:
    """Latencies of all requests, and the time that they took together, in seconds."""
    loop = asyncio.get_running_loop()
    connected = [(await loop.create_connection(Client, "127.0.0.1", port))[1] for _ in range(clients)]
    taken: list[float] = []

    async def send(client: Client, place: int, end: float) -> None:
        while (begun := time.perf_counter()) < end:
            await client.ask(requests[place % len(requests)])
            taken.append(time.perf_counter() - begun)
            place += clients

    async def send_all(length: float) -> None:
        end = time.perf_counter() + length
        await asyncio.gather(*(send(client, place, end) for place, client in enumerate(connected)))

    await send_all(0.5)  # connections, caches, the larger batches' first run
    taken.clear()
    begun = time.perf_counter()
    await send_all(seconds)
    return taken, time.perf_counter() - begun


@contextmanager
def server(folder: Path, max_batch: int) -> Iterator[int]:
    """A server of its own; yields its port."""
    with tempfile.TemporaryDirectory() as place:
        ready = Path(place, "ready.json")
        command = [sys.executable, "-m", "fluent_pipe.serving", "--folder", str(folder), "--name", "model"]
        command += ["--ready-file", str(ready), "--max-batch", str(max_batch)]
        process = subprocess.Popen(command)
        try:
            while not ready.exists():
                if process.poll() is not None:
                    sys.exit("The server did not start.")
                time.sleep(0.1)
            yield json.loads(ready.read_text())["port"]
        finally:
            process.terminate()
            process.wait()


def http(row: dict[str, Any]) -> bytes:
    """A request for one row."""
    body = json.dumps({"instances": [row]}).encode()
    head = f"POST /v1/models/model:predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Content-Type: application/json\r\n\r\n".encode() + body


def per_second(way: list[tuple[list[float], float]]) -> float:
    """Requests a second over all rounds."""
    return sum(len(taken) for taken, _ in way) / sum(seconds for _, seconds in way)


def figures(way: list[tuple[list[float], float]]) -> str:
    """Requests a second, and percentiles of the latency, as cells."""
    p50, p99 = np.percentile(np.concatenate([taken for taken, _ in way]), [50, 99]) * 1000
    return f"{per_second(way):,.0f} | {p50:.1f} | {p99:.1f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="a SavedModel that takes --row, or its versions")
    parser.add_argument("--row", type=json.loads, help="JSON object of columns to send, for a model of other columns")
    parser.add_argument("--clients", type=int, nargs="*", default=[1, 8, 64])
    parser.add_argument("--seconds", type=float, default=3, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each way")
    parser.add_argument("--max-batch", type=int, default=1024)
    asked = parser.parse_args()
    requests = [http(row) for row in ([asked.row] if asked.row else ROWS)]
    with tempfile.TemporaryDirectory() as place:
        compare(asked, asked.folder or pushed(Path(place)), requests)
    print(f"\nLoad average: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.")


def pushed(place: Path) -> Path:
    """The default model, trained and pushed."""
    import pyarrow as pa

    import fluent_pipe as fp

    random = np.random.default_rng(7)
    chosen = [ROWS[i] for i in random.integers(0, len(ROWS), 2000)]
    trips = pa.Table.from_pylist([row | {"tipped": int(random.random() < row["hour"] / 24)} for row in chosen])
    source = fp.Pipeline("trips", root=place / "root").from_arrow(trips).generate_statistics().infer_schema()
    source.preprocess(label="tipped").train(epochs=1).push_to(place / "serving").run(progress=False)
    return place / "serving"


def compare(asked: argparse.Namespace, folder: Path, requests: list[bytes]) -> None:
    """Print the table."""
    # Both servers are up the whole time, and the measurements alternate: what else the machine does meets both.
    with server(folder, asked.max_batch) as batching, server(folder, 1) as single:
        print("| clients | batching | requests/s | p50, ms | p99, ms | times the requests/s |")
        print("|---:|---|---:|---:|---:|---:|")
        for clients in asked.clients:
            rounds = [
                [asyncio.run(measured(port, requests, clients, asked.seconds)) for port in (batching, single)]
                for _ in range(asked.rounds)
            ]
            on, off = (list(way) for way in zip(*rounds, strict=True))
            ratio = per_second(on) / per_second(off)
            print(f"| {clients} | on | {figures(on)} | {ratio:.2f} |")
            print(f"| {clients} | off | {figures(off)} |  |", flush=True)


if __name__ == "__main__":
    main()
