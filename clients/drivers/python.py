"""Runs every check with a Python client, and prints one JSON object of results.

Usage: python.py LIBRARY ERA TARGET CONTROL. LIBRARY is `mcp` or `fastmcp`; ERA is the mode of both:
`legacy` starts with `initialize`, `auto` sends `server/discover` first. TARGET is the JSON object
`{"command", "args", "env"}` for stdio, or `{"url", "token"}`. CONTROL is the URL of
`run.py`, with the paths `restart`, `expire` and `revoke`.

A check that the client does not support is not in the results.
"""

import asyncio
import hashlib
import json
import logging
import sys
import urllib.request
from importlib.metadata import version
from typing import Any

import mcp_types as types
from mcp import Client, StdioServerParameters

library, era, target, control = sys.argv[1:]
target = json.loads(target)
logging.disable()

TIMEOUT = 45
URI = "demo://resource/dynamic/text/1"
TEXTS = "żółć 漢字 🦀👩‍👩‍👧 שלום \u2028\u2029 \u0000\u001f \ufeff é"

events = []
arrived = asyncio.Event()


def notice(kind, value):
    events.append((kind, value))
    arrived.set()


async def wait_for(kind):
    """Waits for a notification, and returns it."""
    while True:
        for event in events:
            if event[0] == kind:
                return event[1]
        arrived.clear()
        await arrived.wait()


async def log(params):
    notice("log", bool(params.data))


async def message(notification):
    if isinstance(notification, types.ResourceUpdatedNotification):
        notice("updated", str(notification.params.uri))


ROOTS = ["file:///tmp/one", "file:///tmp/two"]


async def open_link(url):
    """Opens the link of an elicitation as a browser does; the user agrees to everything."""
    await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=30).read())


class PythonSdk:
    """The client of `mcp`, with typical callbacks."""

    package = "mcp"

    def __init__(self, http):
        self.client = Client(
            self.transport(http),
            mode=era,
            sampling_callback=self.sample,
            elicitation_callback=self.elicit,
            list_roots_callback=self.roots,
            logging_callback=log,
            log_level="debug",
            message_handler=message,
        )
        self.call = self.client.call_tool
        self.tools = self.client.list_tools
        self.resources = self.client.list_resources
        self.templates = self.client.list_resource_templates
        self.prompts = self.client.list_prompts
        self.read = self.client.read_resource
        self.prompt = self.client.get_prompt
        self.complete = self.client.complete

    def transport(self, http):
        if "command" in target:
            return StdioServerParameters(**target)
        from mcp.client.streamable_http import streamable_http_client

        return streamable_http_client(target["url"], http_client=http, max_sse_event_size=None)

    async def sample(self, _context, params):
        content = types.TextContent(type="text", text=f"on {params.messages[0].content.text} ✓")
        return types.CreateMessageResult(role="assistant", model="test", content=content)

    async def elicit(self, _context, params):
        if params.mode == "url":
            await open_link(params.url)
            return types.ElicitResult(action="accept")
        return types.ElicitResult(action="accept", content={"name": "Żaneta"})

    async def roots(self, _context):
        return types.ListRootsResult(roots=[types.Root(uri=uri) for uri in ROOTS])


class FastMcp:
    """The client of `fastmcp`, with its own callbacks and methods."""

    package = "fastmcp"

    def __init__(self, _http):
        from fastmcp import Client
        from fastmcp.client.transports import StdioTransport, StreamableHttpTransport

        if "command" in target:
            transport = StdioTransport(**target)
        else:
            transport = StreamableHttpTransport(
                target["url"], auth=target.get("token"), max_sse_event_size=None
            )
        self.client = Client(
            transport,
            mode=era,
            sampling_handler=self.sample,
            elicitation_handler=self.elicit,
            roots=ROOTS,
            log_handler=log,
            message_handler=message,
        )
        self.tools = self.client.list_tools_mcp
        self.resources = self.client.list_resources_mcp
        self.templates = self.client.list_resource_templates_mcp
        self.prompts = self.client.list_prompts_mcp
        self.read = self.client.read_resource_mcp
        self.prompt = self.client.get_prompt_mcp
        self.complete = self.client.complete_mcp

    async def call(self, name, arguments, progress_callback=None, meta=None):
        return await self.client.call_tool_mcp(
            name, arguments, progress_handler=progress_callback, meta=meta
        )

    async def sample(self, messages, _params, _context):
        return f"on {messages[0].content.text} ✓"

    async def elicit(self, _message, _kind, params, _context):
        if params.mode == "url":
            await open_link(params.url)
            return types.ElicitResult(action="accept")
        return {"name": "Żaneta"}


class Checks:
    def __init__(self, client):
        self.client = client
        self.modern = client.client.protocol_version >= "2026"

    async def text(self, name, arguments, **more):
        result = await self.client.call(name, arguments, **more)
        text = "".join(block.text for block in result.content if block.type == "text")
        return f"error: {text}" if result.is_error else text

    async def echo(self, message="✓"):
        return await self.text("echo", {"message": message})

    async def handshake(self):
        client = self.client.client
        # The server's name and version are optional in 2026-07-28.
        return {
            "version": client.protocol_version,
            "server": client.server_info and client.server_info.model_dump(mode="json"),
            "capabilities": client.server_capabilities.model_dump(mode="json", exclude_none=True),
            "instructions": client.instructions,
        }

    async def pages(self, listing, member):
        pages, cursor = [], None
        while not pages or cursor:
            result = await listing(cursor=cursor)
            pages.append([item.model_dump(mode="json") for item in getattr(result, member)])
            cursor = result.next_cursor
        return pages

    async def tools(self):
        return await self.pages(self.client.tools, "tools")

    async def resources(self):
        listed = await self.pages(self.client.resources, "resources")
        templates = await self.pages(self.client.templates, "resource_templates")
        uri = listed[0][0]["uri"]
        contents = (await self.client.read(uri)).contents
        return [listed, templates, [content.model_dump(mode="json") for content in contents]]

    async def prompts(self):
        listed = await self.pages(self.client.prompts, "prompts")
        got = await self.client.prompt("args-prompt", {"city": "Łódź", "state": "🦀"})
        return [listed, got.model_dump(mode="json", exclude={"meta"})]

    async def completion(self):
        ref = types.PromptReference(type="ref/prompt", name="completable-prompt")
        result = await self.client.complete(ref, {"name": "department", "value": "S"})
        return result.completion.values

    async def logging(self):
        meta = None
        if self.modern:
            meta = {"io.modelcontextprotocol/logLevel": "debug"}
        else:
            await self.client.client.set_logging_level("debug")
        await self.text("toggle-simulated-logging", {}, meta=meta)
        got = await wait_for("log")
        await self.text("toggle-simulated-logging", {}, meta=meta)
        return got

    async def progress(self):
        seen = []

        async def progress(done, total, _message):
            seen.append([done, total])

        arguments = {"duration": 0.4, "steps": 4}
        text = await self.text(
            "trigger-long-running-operation", arguments, progress_callback=progress
        )
        return [text, seen]

    async def cancellation(self):
        arguments = {"duration": 40, "steps": 400}
        started = asyncio.Event()

        async def progress(*_):
            started.set()

        call = asyncio.create_task(
            self.text("trigger-long-running-operation", arguments, progress_callback=progress)
        )
        await started.wait()
        call.cancel()
        try:
            ended = await call
        except asyncio.CancelledError:
            ended = "cancelled"
        # The server of the Python SDK returns the number of cancelled calls.
        for _ in range(50):
            count = await self.text("cancellations", {})
            if not count.isdigit() or count != "0":
                break
            await asyncio.sleep(0.1)
        return [ended, count]

    async def sampling(self):
        return await self.text("trigger-sampling-request", {"prompt": "rain"})

    async def elicitation(self):
        return await self.text("trigger-elicitation-request", {})

    async def roots(self):
        # A server may request them only after the handshake.
        for _ in range(50):
            text = await self.text("get-roots-list", {})
            if ROOTS[1] in text:
                break
            await asyncio.sleep(0.1)
        return text

    async def subscriptions(self):
        if not self.modern:
            await self.client.client.session.subscribe_resource(URI)
            await self.text("toggle-subscriber-updates", {})
            got = await wait_for("updated")
            await self.client.client.session.unsubscribe_resource(URI)
            await self.text("toggle-subscriber-updates", {})
            return got
        if not hasattr(self.client.client, "listen"):
            return None
        async with self.client.client.listen(resource_subscriptions=[URI]) as subscription:
            await self.text("toggle-subscriber-updates", {})
            return repr(await anext(aiter(subscription)))

    async def large(self, size):
        text = await self.echo("0123456789abcde\n" * (size // 16))
        return [len(text), hashlib.sha256(text.encode()).hexdigest()] if len(text) > 999 else text

    async def one_mib(self):
        return await self.large(1 << 20)

    async def ten_mib(self):
        return await self.large(10 << 20)

    async def unicode(self):
        return await self.echo(TEXTS)

    async def parallel(self):
        texts = await asyncio.gather(*(self.echo(f"call {number}") for number in range(100)))
        return [text.endswith(f"call {number}") for number, text in enumerate(texts)].count(True)

    async def unknown_method(self):
        request = types.Request[dict[str, Any] | None, str](method="nothing/such", params=None)
        await self.client.client.session.send_request(request, types.EmptyResult)

    async def after(self, action):
        """Returns the result of the first call after `action`, and whether a later call succeeds."""
        await asyncio.to_thread(post, action)
        first = await attempt(self.echo("first"))
        for _ in range(40):
            later = await attempt(self.echo("later"))
            if later == "Echo: later":
                return [first, "a later call succeeds"]
            await asyncio.sleep(0.25)
        return [first, later]

    async def token_expired(self):
        return await self.after("expire")

    async def token_revoked(self):
        return await self.after("revoke")

    async def server_restart(self):
        return await self.after("restart")


CHECKS = [
    "handshake",
    "tools",
    "resources",
    "prompts",
    "completion",
    "logging",
    "progress",
    "cancellation",
    "sampling",
    "elicitation",
    "roots",
    "subscriptions",
    "one_mib",
    "ten_mib",
    "unicode",
    "parallel",
    "unknown_method",
    "token_expired",
    "token_revoked",
    "server_restart",
]


def post(action):
    urllib.request.urlopen(urllib.request.Request(f"{control}/{action}", method="POST")).close()


async def attempt(check):
    try:
        return await asyncio.wait_for(check, TIMEOUT)
    except (Exception, asyncio.CancelledError) as error:
        if isinstance(error, TimeoutError):
            return {"error": f"nothing within {TIMEOUT} s"}
        return {"error": f"{type(error).__name__}: {getattr(error, 'code', '')} {error}"}


async def main():
    import httpx2

    headers = {"authorization": f"Bearer {target['token']}"} if target.get("token") else {}
    results = {}
    async with httpx2.AsyncClient(headers=headers, timeout=TIMEOUT) as http:
        client = {"mcp": PythonSdk, "fastmcp": FastMcp}[library](http)
        async with client.client:
            checks = Checks(client)
            for name in CHECKS:
                result = await attempt(getattr(checks, name)())
                if result is not None:
                    results[name] = result
            results["library"] = f"{client.package} {version(client.package)}"
            # The state of the connection after a restart concerns only the check.
            write(results)


def write(results):
    print(json.dumps(results), flush=True)


asyncio.run(main())
