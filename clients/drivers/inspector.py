"""Runs every check that Inspector's command line supports, each in its own process, and prints one
JSON object of results; `python.py` describes the arguments.
"""

import json
import os
import pathlib
import subprocess
import sys
import urllib.request

_, era, target, control = sys.argv[1:]
target = json.loads(target)
HERE = pathlib.Path(__file__).resolve().parent.parent
NODE = HERE.parent / "interop/node_modules/node/bin/node"
PACKAGE = HERE / "node_modules/@modelcontextprotocol/inspector"

# Inspector passes little of its environment to a command.
if "command" in target:
    where = [part for name, value in target["env"].items() for part in ("-e", f"{name}={value}")]
    where += [target["command"], *target["args"]]
else:
    where = ["--transport", "http", "--server-url", target["url"]]
    if target.get("token"):
        where += ["--header", f"Authorization: Bearer {target['token']}"]


def inspect(method, *more):
    program = [NODE, HERE / "node_modules/.bin/mcp-inspector", "--cli", "--format", "json", "--quiet"]
    done = subprocess.run(
        [*program, "--protocol-era", era, *where, "--method", method, *more],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "NO_COLOR": "1"},
    )
    text = done.stdout if done.returncode == 0 else done.stderr.strip().splitlines()[-1]
    return json.loads(text)


def echo(message="✓"):
    return inspect("tools/call", "--tool-name", "echo", "--tool-args-json", json.dumps({"message": message}))


def after(action):
    urllib.request.urlopen(urllib.request.Request(f"{control}/{action}", method="POST")).close()
    first = echo("first")
    for _ in range(5):
        later = echo("later")
        if "result" in later:
            break
    return [first, later]


def parallel():
    load = ["--load", "--load-requests", "100", "--load-concurrency", "100"]
    done = inspect("tools/call", "--tool-name", "echo", "--tool-arg", "message=x", *load)
    return {name: done["result"][name] for name in ["ok", "errors", "toolErrors"]}


def resources():
    listed = inspect("resources/list")
    uri = listed["result"]["resources"][0]["uri"]
    return [listed, inspect("resources/templates/list"), inspect("resources/read", "--uri", uri)]


CHECKS = {
    "handshake": lambda: inspect("initialize"),
    "tools": lambda: inspect("tools/list"),
    "resources": resources,
    "prompts": lambda: [
        inspect("prompts/list"),
        inspect("prompts/get", "--prompt-name", "args-prompt", "--prompt-args", "city=Łódź", "state=🦀"),
    ],
    "logging": lambda: inspect("logging/setLevel", "--log-level", "debug"),
    "unicode": lambda: echo("żółć 漢字 🦀👩‍👩‍👧 שלום \u2028\u2029 \ufeff é"),
    "parallel": parallel,
    "token_expired": lambda: after("expire"),
    "server_restart": lambda: after("restart"),
    # The last check, because each proxy ends before its login.
    "token_revoked": lambda: after("revoke"),
}

results = {}
for name, check in CHECKS.items():
    try:
        results[name] = check()
    except Exception as error:
        results[name] = {"error": f"{type(error).__name__}: {error}"}
results["library"] = f"inspector {json.loads((PACKAGE / 'package.json').read_text())['version']}"
print(json.dumps(results), flush=True)
