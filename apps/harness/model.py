"""A scripted model on loopback: the Messages API of Anthropic and the Responses API of OpenAI.

It requests the tool calls of its script, one after another, then repeats the last result and ends its turn.
It keeps each request that it receives: they are all that a model learns.
"""

import http.server
import json
import re
import threading

NO_CALLS = "There is nothing to do."
# Codex puts this above the text of each result.
CODEX_HEADER = re.compile(r"^Wall time: [\d.]+ seconds\nOutput:\s*")


class Call:
    """A tool call. Before the model requests it, `before` runs, for example to revoke a token; `event` says
    what that is."""

    def __init__(self, tool, arguments=None, event=None, before=None):
        self.tool, self.arguments, self.event, self.before = tool, arguments or {}, event, before


class ScriptedModel(http.server.ThreadingHTTPServer):
    """Serves the script. `requests` holds the path and the body of each request, `results` what the calls
    returned, and `journal` a line for each call."""

    daemon_threads = True

    def __init__(self, script, journal):
        self.script, self.journal, self.requests, self.begun = script, journal, [], 0
        self.results = []
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), ModelRequest)
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def step(self, results, offered):
        """Returns the next call, or none at the end of the script. A repeated request gets the same."""
        with self.lock:
            if len(results) > len(self.results):
                self.results = results
                self.journal.append(f"tool: {text_of(results[-1])}")
            if len(results) >= len(self.script):
                return None
            call = self.script[len(results)]
            if not any(name.endswith(call.tool) for name in offered):
                return None
            if self.begun == len(results):
                self.begun += 1
                if call.before:
                    call.before()
                    self.journal += ["", f"then: {call.event}"]
                self.journal.append(f"model: call {call.tool}")
            return call

    def last_words(self):
        return text_of(self.results[-1]) if self.results else NO_CALLS

    def stop(self):
        self.shutdown()
        self.server_close()


class ModelRequest(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])) or b"{}")
        self.server.requests.append((self.path, body))
        path = self.path.partition("?")[0]
        if path == "/v1/messages":
            self.events(messages(self.server, body))
        elif path.endswith("/responses"):
            self.events(responses(self.server, body))
        elif path == "/v1/messages/count_tokens":
            self.json(200, {"input_tokens": 1})
        else:
            self.json(404, {"error": {"message": f"no such path: {path}"}})

    def do_GET(self):
        self.server.requests.append((self.path, None))
        self.json(404, {"error": {"message": "nothing to read here"}})

    do_HEAD = do_GET

    def events(self, events):
        text = "".join(
            f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events
        ).encode()
        self.reply(200, "text/event-stream", text)

    def json(self, status, value):
        self.reply(status, "application/json", json.dumps(value).encode())

    def reply(self, status, kind, body):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


def text_of(result):
    """Returns the text of a tool result, as either API sends it."""
    content = result.get("content", result.get("output"))
    if not isinstance(content, str):
        content = "\n".join(part["text"] for part in content)
    return CODEX_HEADER.sub("", content)


def messages(model, body):
    """Returns the events of a response of the Messages API."""
    blocks = [
        block
        for message in body["messages"]
        if isinstance(message["content"], list)
        for block in message["content"]
    ]
    results = [block for block in blocks if block.get("type") == "tool_result"]
    offered = [tool["name"] for tool in body.get("tools", [])]
    call = model.step(results, offered)
    if call:
        name = next(name for name in offered if name.endswith(call.tool))
        block = {"type": "tool_use", "id": f"toolu_{len(results)}", "name": name, "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(call.arguments)}
    else:
        block = {"type": "text", "text": ""}
        delta = {"type": "text_delta", "text": model.last_words()}
    message = {
        "id": f"msg_{len(model.requests)}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    stop = {"stop_reason": "tool_use" if call else "end_turn", "stop_sequence": None}
    return [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": stop, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ]


def responses(model, body):
    """Returns the events of a response of the Responses API."""
    results = [
        item
        for item in body["input"]
        if item.get("type") in ("function_call_output", "custom_tool_call_output")
    ]
    offered = offered_functions(body.get("tools", []))
    call = model.step(results, [name for name, _ in offered])
    if call:
        name, namespace = next(pair for pair in offered if pair[0].endswith(call.tool))
        item = {
            "type": "function_call",
            "id": f"fc_{len(results)}",
            "call_id": f"call_{len(results)}",
            "name": name,
            "arguments": json.dumps(call.arguments),
        }
        if namespace:
            item["namespace"] = namespace
    else:
        item = {
            "type": "message",
            "id": f"msg_{len(model.requests)}",
            "role": "assistant",
            "content": [{"type": "output_text", "text": model.last_words()}],
        }
    response = {"id": f"resp_{len(model.requests)}", "object": "response", "output": [item]}
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    return [
        {"type": "response.created", "response": {"id": response["id"]}},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": {**response, "usage": usage}},
    ]


def offered_functions(tools):
    """Returns the name and the namespace of each function. Codex groups those of a server."""
    found = []
    for tool in tools:
        if tool.get("type") == "namespace":
            found += [(inner["name"], tool["name"]) for inner in tool["tools"]]
        elif "name" in tool:
            found.append((tool["name"], None))
    return found
