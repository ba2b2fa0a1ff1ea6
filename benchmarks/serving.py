"""Throughput and latency of the prediction server at 1, 8 and 64 clients, with batching and without, in one run.

Each client sends a request of one row, waits for its answer and sends the next, over one connection. All clients are
one process, beside the server's; the rows are the trips of the tests.

Examples
--------
::

    python benchmarks/serving.py --folder serving/trips
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
    {"city": city, "hour": hour, "miles": 0.5 + hour, "fare": None if hour % 7 == 0 else 3 + 2.1 * hour, "company": "A"}
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


async def measured(port: int, requests: list[bytes], clients: int, seconds: float) -> dict[str, float]:
    """Requests a second, and latencies in milliseconds."""
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
    elapsed = time.perf_counter() - begun
    p50, p99 = np.percentile(taken, [50, 99]) * 1000
    return {"per_second": len(taken) / elapsed, "p50_ms": float(p50), "p99_ms": float(p99)}


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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="a SavedModel of the trips, or its versions")
    parser.add_argument("--row", type=json.loads, help="JSON object of columns to send, for a model of other columns")
    parser.add_argument("--clients", type=int, nargs="*", default=[1, 8, 64])
    parser.add_argument("--seconds", type=float, default=5, help="of each measurement")
    parser.add_argument("--max-batch", type=int, default=1024)
    asked = parser.parse_args()
    requests = [http(row) for row in ([asked.row] if asked.row else ROWS)]
    # Both servers are up the whole time, and the measurements alternate: what else the machine does meets both.
    with server(asked.folder, asked.max_batch) as batching, server(asked.folder, 1) as single:
        print("| clients | batching | requests/s | p50, ms | p99, ms | times the requests/s |")
        print("|---:|---|---:|---:|---:|---:|")
        for clients in asked.clients:
            on, off = (asyncio.run(measured(port, requests, clients, asked.seconds)) for port in (batching, single))
            for name, figures, ratio in (("on", on, f"{on['per_second'] / off['per_second']:.2f}"), ("off", off, "")):
                print(
                    f"| {clients} | {name} | {figures['per_second']:,.0f} | {figures['p50_ms']:.1f} "
                    f"| {figures['p99_ms']:.1f} | {ratio} |",
                    flush=True,
                )
    print(f"\nLoad average: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.")


if __name__ == "__main__":
    main()
