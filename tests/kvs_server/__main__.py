"""
Run the server by hand.

::

    python -m tests.kvs_server --port 8443 --stream demo
    export AWS_ENDPOINT_URL_KINESIS_VIDEO=http://127.0.0.1:8443
    export AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=...     as it prints them
"""

from __future__ import annotations

import argparse
import logging
import signal
import threading

from tests.kvs_server.faults import AckForm, Connections
from tests.kvs_server.server import ACCESS_KEY, SECRET_KEY, KVSServer


def main() -> None:
    """Serve until it is interrupted, and say then what has come."""
    parser = argparse.ArgumentParser(prog="python -m tests.kvs_server")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--stream", action="append", default=[], help="a stream that exists")
    parser.add_argument("--retention", type=int, default=24, help="of these, in hours")
    parser.add_argument("--one-connection", action="store_true", help="refuse a second one")
    parser.add_argument("--acks", choices=[form.name.lower() for form in AckForm], default="one")
    parser.add_argument("--ack-delay", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--reset-every", type=float, metavar="SECONDS")
    parser.add_argument("--close-after", type=float, default=45 * 60.0, metavar="SECONDS")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    with KVSServer(options.port, region=options.region) as server:
        for name in options.stream:
            server.streams.add(name, options.retention)
        faults = server.faults
        faults.connections = Connections.ONE if options.one_connection else Connections.OVERLAP
        faults.ack_form = AckForm[options.acks.upper()]
        faults.ack_delay_seconds = options.ack_delay
        faults.reset_every_seconds = options.reset_every
        faults.close_after_seconds = options.close_after
        print(f"{server.url}  {ACCESS_KEY}  {SECRET_KEY}", flush=True)  # noqa: T201
        over.wait()
    for name in options.stream:
        stream = server.streams[name]
        frames = sum(len(one.blocks) for one in stream.timeline())
        print(  # noqa: T201
            f"{name}: {len(stream.sessions)} connections, {stream.persisted()} fragments "
            f"persisted, {frames} frames in the timeline, complaints: {stream.complaints}"
        )


if __name__ == "__main__":
    main()
