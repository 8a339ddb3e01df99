"""The shared code of the Python servers: a port on loopback, and a control channel on stdio.

The driver starts `serve LISTEN PUBLIC LISTEN PUBLIC`: the port to listen on, and the port that
clients connect to (the driver forwards from it and records the requests). The second pair is for a
separate authorization server, if there is one.

One line of JSON on stdout says that the server listens. Then each line on stdin is a request, with
one line on stdout as the response:

    {"active": TOKEN}  ->  {"active": true | false}    by the check of the server itself
    {"expire": TOKEN}  ->  {"expired": COUNT}          expires this access token, or all

The process exits when stdin closes.
"""

import asyncio
import json
import os
import socket
import sys
import threading
from importlib.metadata import version

import uvicorn

HOST = "127.0.0.1"

# stdout is for the protocol. What a framework prints goes to stderr.
_protocol = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def ports():
    """Returns the pairs (listen, public) of the command line."""
    numbers = [int(argument) for argument in sys.argv[1:]]
    return list(zip(numbers[::2], numbers[1::2]))


def origin(port):
    return f"http://{HOST}:{port}"


def run(apps, package, active, expire=None):
    """Serves each (port, app) on loopback until stdin closes."""
    asyncio.run(_run(apps, package, active, expire))


async def _run(apps, package, active, expire):
    servers = []
    for port, app in apps:
        listener = socket.create_server((HOST, port))
        config = uvicorn.Config(app, log_level="warning", access_log=False)
        servers.append(asyncio.create_task(uvicorn.Server(config).serve([listener])))
    _write({"version": f"{package} {version(package)}"})
    requests = asyncio.Queue()
    loop = asyncio.get_running_loop()
    threading.Thread(target=_read, args=(loop, requests), daemon=True).start()
    while line := await requests.get():
        request = json.loads(line)
        if "active" in request:
            _write({"active": bool(await active(request["active"]))})
        elif expire:
            _write({"expired": await expire(request["expire"])})
        else:
            _write({"expired": 0})
    os._exit(0)


def _read(loop, requests):
    for line in sys.stdin:
        loop.call_soon_threadsafe(requests.put_nowait, line)
    loop.call_soon_threadsafe(requests.put_nowait, "")


def _write(message):
    print(json.dumps(message), file=_protocol, flush=True)
