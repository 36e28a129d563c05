"""An S3-compatible server on the loopback address, by moto, that can fail in several ways."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import pytest

pytest.importorskip("moto", reason="moto is not installed: it plays the object store")

from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

Fault = Literal["error 500", "error 503", "cut off"]
Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class FaultyStore:
    """The store, of whose reads every so many fail.

    Args:
        store: a WSGI application.

    Attributes:
        faults: taken in turn; none by default.
        every: of so many GET requests of objects, the last fails.
        failed: how many did.
    """

    def __init__(self, store: Application) -> None:
        self._store = store
        self._lock = threading.Lock()
        self.restore()

    def restore(self) -> None:
        """No more faults."""
        self.fail(1, ())

    def fail(self, every: int, faults: Iterable[Fault]) -> None:
        """Let every so-manyth read fail."""
        self.every, self.failed, self._reads = every, 0, 0
        self._faults = itertools.cycle(tuple(faults)) if faults else None

    def __call__(
        self, environment: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer one request."""
        is_read = environment["REQUEST_METHOD"] == "GET" and "list-type" not in environment.get(
            "QUERY_STRING", ""
        )
        fault = self._next_fault() if is_read else None
        if fault is None:
            return self._store(environment, start_response)
        if fault == "cut off":
            return _cut_off(self._store(environment, start_response))
        status = fault.removeprefix("error ")
        start_response(f"{status} Failing", [("Content-Length", "0")])
        return []

    def _next_fault(self) -> Fault | None:
        with self._lock:
            self._reads += 1
            if self._faults is None or self._reads % self.every:
                return None
            self.failed += 1
            return next(self._faults)


def _cut_off(body: Iterable[bytes]) -> Iterator[bytes]:
    """Half of a body whose length was announced; then the connection breaks."""
    whole = b"".join(body)
    yield whole[: len(whole) // 2]
    raise ConnectionResetError


@contextmanager
def s3_server() -> Iterator[tuple[FaultyStore, str]]:
    """A server with an empty store; it and the address that clients need."""
    store = FaultyStore(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, store, threaded=True, request_handler=MotoRequestHandler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield store, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
