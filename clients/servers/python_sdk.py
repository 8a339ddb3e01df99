"""An MCP server of the Python SDK. Usage: python_sdk.py PORT STATE LIFETIME

Its tools, resources and prompts have the names of `@modelcontextprotocol/server-everything`, so that
one driver works with both servers. Lists are paged.
"""

from typing import Annotated

import anyio
import login
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.resources import TextResource
from mcp.server.mcpserver.resolve import Elicit, ListRoots, Resolve, Sample
from mcp_types import (
    CreateMessageResult,
    EmptyResult,
    ListPromptsResult,
    ListResourcesResult,
    ListRootsResult,
    ListToolsResult,
    SamplingMessage,
    SetLevelRequestParams,
    SubscribeRequestParams,
    TextContent,
    UnsubscribeRequestParams,
)
from pydantic import BaseModel

PAGE = 3
LARGEST_BODY = 64 << 20


def page(items, params):
    start = int(params.cursor) if params and params.cursor else 0
    end = start + PAGE
    return items[start:end], str(end) if end < len(items) else None


class Server(MCPServer):
    async def _handle_list_tools(self, ctx, params):
        tools, cursor = page(await self.list_tools(), params)
        return ListToolsResult(tools=tools, next_cursor=cursor)

    async def _handle_list_resources(self, ctx, params):
        resources, cursor = page(await self.list_resources(), params)
        return ListResourcesResult(resources=resources, next_cursor=cursor)

    async def _handle_list_prompts(self, ctx, params):
        prompts, cursor = page(await self.list_prompts(), params)
        return ListPromptsResult(prompts=prompts, next_cursor=cursor)


provider = login.provider()
server = Server(
    "python-sdk",
    version="1",
    instructions="A server for tests ✓",
    auth_server_provider=provider,
    auth=login.settings(),
)
subscribed = set()
cancelled = 0


async def subscribe(ctx, params):
    subscribed.add(str(params.uri))
    return EmptyResult()


async def unsubscribe(ctx, params):
    subscribed.discard(str(params.uri))
    return EmptyResult()


async def set_level(ctx, params):
    return EmptyResult()


handler = server._lowlevel_server.add_request_handler
handler("resources/subscribe", SubscribeRequestParams, subscribe)
handler("resources/unsubscribe", UnsubscribeRequestParams, unsubscribe)
handler("logging/setLevel", SetLevelRequestParams, set_level)


@server.tool()
def echo(message: str) -> str:
    return f"Echo: {message}"


@server.tool(name="trigger-long-running-operation")
async def long_running(duration: float, steps: int, ctx: Context) -> str:
    global cancelled
    try:
        for step in range(steps):
            await anyio.sleep(duration / steps)
            await ctx.report_progress(step + 1, steps)
    except anyio.get_cancelled_exc_class():
        cancelled += 1
        raise
    return f"Completed {steps} steps"


@server.tool()
def cancellations() -> int:
    return cancelled


@server.tool(name="toggle-simulated-logging")
async def logging(ctx: Context) -> str:
    await ctx.log("warning", "a message ✓")
    return "logged"


@server.tool(name="toggle-subscriber-updates")
async def updates(ctx: Context) -> str:
    for uri in subscribed:
        await ctx.request_context.session.send_resource_updated(uri)
    await ctx.notify_resource_updated("demo://resource/dynamic/text/1")
    return "updated"


class Answer(BaseModel):
    name: str


def ask_sampling(prompt: str) -> Sample:
    content = TextContent(type="text", text=prompt)
    return Sample([SamplingMessage(role="user", content=content)], max_tokens=100)


def ask_name() -> Elicit[Answer]:
    return Elicit("Your name?", Answer)


def ask_roots() -> ListRoots:
    return ListRoots()


@server.tool(name="trigger-sampling-request")
def sampling(prompt: str, answer: Annotated[CreateMessageResult, Resolve(ask_sampling)]) -> str:
    return f"{answer.model}: {answer.content.text}"


@server.tool(name="trigger-elicitation-request")
def elicitation(answer: Annotated[Answer, Resolve(ask_name)]) -> str:
    return answer.name


@server.tool(name="get-roots-list")
def roots(answer: Annotated[ListRootsResult, Resolve(ask_roots)]) -> list[str]:
    return [str(root.uri) for root in answer.roots]


for number in range(1, 8):
    uri = f"demo://resource/static/document/{number}.md"
    server.add_resource(TextResource(uri=uri, name=f"document-{number}", text=f"Document {number} ✓"))


@server.resource("demo://resource/dynamic/text/{index}")
def text(index: str) -> str:
    return f"Resource {index}"


@server.prompt(name="simple-prompt")
def simple_prompt() -> str:
    return "This is a simple prompt"


@server.prompt(name="args-prompt")
def args_prompt(city: str, state: str = "") -> str:
    return f"What's weather in {city}, {state}?"


@server.prompt(name="completable-prompt")
def completable_prompt(department: str, name: str) -> str:
    return f"Please promote {name} of {department}"


@server.prompt(name="resource-prompt")
def resource_prompt(kind: str) -> str:
    return kind


@server.completion()
async def complete(ref, argument, context):
    from mcp_types import Completion

    departments = ["Engineering", "Sales", "Marketing", "Support"]
    return Completion(values=[name for name in departments if name.startswith(argument.value)])


server.custom_route("/admin/expire", methods=["POST"])(provider.expire)
server.custom_route("/admin/revoke", methods=["POST"])(provider.revoke)
login.serve(server.streamable_http_app(max_request_body_size=LARGEST_BODY))
