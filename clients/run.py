"""Runs real clients directly and through `mcp-oauth proxy`, and compares the results.

Usage: .venv/bin/python run.py [--write] [--few] [CLIENT...]

Each client runs three times, each time with its own server: directly with a token, through `proxy` on
stdio, and through `proxy --listen`. A difference that `expected.json` does not list is a failure. In a
full run, a listed difference that does not occur is a failure too. `--write` writes `docs/clients.md`;
`--few` runs what CI runs.

A rule of `expected.json` applies to the clients, servers, modes and checks that it names, and to results
that contain the text `shows` in their JSON. A rule with `sometimes` depends on timing, and need not occur.
"""

import argparse
import datetime
import http.server
import json
import os
import pathlib
import random
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
COMMAND = os.environ.get("MCP_OAUTH_TEST_COMMAND") or str(ROOT / "target/debug/mcp-oauth")
NODE = str(ROOT / "interop/node_modules/node/bin/node")
PYTHON = str(HERE / ".venv/bin/python")
EVERYTHING = HERE / "node_modules/@modelcontextprotocol/server-everything/dist/index.js"

SERVERS = ["python-sdk", "everything"]
# Name, driver, and the protocol era that it requests.
CLIENTS = {
    "Python SDK, initialize": [PYTHON, "drivers/python.py", "mcp", "legacy"],
    "Python SDK, discover": [PYTHON, "drivers/python.py", "mcp", "auto"],
    "TypeScript SDK 1": [NODE, "drivers/typescript.mjs", "sdk", "legacy"],
    "TypeScript SDK 2, discover": [NODE, "drivers/typescript.mjs", "client", "auto"],
    "FastMCP, initialize": [PYTHON, "drivers/python.py", "fastmcp", "legacy"],
    "FastMCP, discover": [PYTHON, "drivers/python.py", "fastmcp", "auto"],
    "Inspector, initialize": [PYTHON, "drivers/inspector.py", "inspector", "legacy"],
    "Inspector, discover": [PYTHON, "drivers/inspector.py", "inspector", "auto"],
}
FEW = list(CLIENTS)[:4]
MODES = ["direct", "stdio", "listen"]
CHECKS = {
    "handshake": "handshake",
    "tools": "tools, by pages",
    "resources": "resources, by pages",
    "prompts": "prompts, by pages",
    "completion": "completion",
    "logging": "logging",
    "progress": "progress",
    "cancellation": "cancellation",
    "sampling": "sampling",
    "elicitation": "elicitation",
    "roots": "roots",
    "subscriptions": "subscriptions",
    "one_mib": "1 MiB both ways",
    "ten_mib": "10 MiB both ways",
    "unicode": "unicode",
    "parallel": "100 parallel calls",
    "unknown_method": "unknown method",
    "token_expired": "token expired",
    "token_revoked": "login revoked",
    "server_restart": "server restart",
}
READY_TIMEOUT = 30
RUN_TIMEOUT = 300


# Below the range that systems assign for port 0, so that a restarted server can bind its port again.
PORTS = iter(random.sample(range(20000, 32000), 2000))


def free_port():
    for port in PORTS:
        try:
            socket.create_server(("127.0.0.1", port)).close()
            return port
        except OSError:
            continue


class Program:
    """A process in its own process group. Its stdin stays open until it is stopped."""

    def __init__(self, arguments, **more):
        self.process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, start_new_session=True, **more
        )

    def stop(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.process.stdin.close()


class Server:
    """A server of `servers/`, which keeps its tokens when it is restarted."""

    def __init__(self, name, directory, lifetime=3600):
        self.name, self.directory, self.lifetime = name, directory, str(lifetime)
        self.port, self.inner = free_port(), free_port()
        self.programs = []
        self.start()

    def start(self):
        def python(program, *more):
            state = str(self.directory / "state")
            return [PYTHON, "-W", "ignore", HERE / "servers" / program, str(self.port), state,
                    self.lifetime, *more]

        log = open(self.directory / "server.log", "ab")
        if self.name == "python-sdk":
            commands = [(python("python_sdk.py"), self.port)]
        else:
            preload = ["--import", str(HERE / "servers/loopback.mjs")]
            inner = [NODE, *preload, EVERYTHING, "streamableHttp"]
            gate = [] if self.programs else [(python("gate.py", str(self.inner)), self.port)]
            commands = [(inner, self.inner), *gate]
        environment = {**os.environ, "PORT": str(self.inner)}
        for arguments, port in commands:
            self.programs.insert(
                0, Program(arguments, stdout=log, stderr=log, env=environment)
            )
            wait_for_port(port)
        if self.name != "python-sdk" and gate:
            self.programs.reverse()  # the MCP server is first, so that it is the one that is restarted

    def restart(self):
        self.programs.pop(0).stop()
        self.start()

    def admin(self, action):
        url = f"http://127.0.0.1:{self.port}/admin/{action}"
        urllib.request.urlopen(urllib.request.Request(url, method="POST")).close()

    def stop(self):
        for program in self.programs:
            program.stop()


def wait_for_port(port):
    deadline = time.monotonic() + READY_TIMEOUT
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


class Home:
    """The command in its own home, with a browser that follows redirects."""

    def __init__(self, directory):
        browser = directory / "browser"
        # In the background, as a browser runs: the command waits for the programs that it starts.
        browser.write_text(
            f"#!{PYTHON}\nimport os, sys, urllib.request\n"
            "if os.fork() == 0:\n    urllib.request.urlopen(sys.argv[1], timeout=30).read()\n"
        )
        browser.chmod(0o700)
        self.environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "BROWSER": str(browser),
            "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent/bus",
        }
        for name in ["HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "TMPDIR"]:
            self.environment[name] = str(directory)
        self.log = directory / "command.log"

    def run(self, *arguments):
        done = subprocess.run(
            [COMMAND, *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode:
            raise RuntimeError(f"mcp-oauth {' '.join(arguments)}: {done.stderr}")
        return done.stdout.strip()

    def listen(self, name):
        """Starts `proxy --listen`, and returns it with its URL."""
        log = open(self.log, "ab")
        program = Program(
            [COMMAND, "proxy", name, "--listen", "127.0.0.1:0"],
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
        deadline = time.monotonic() + READY_TIMEOUT
        while time.monotonic() < deadline:
            found = re.search(r"listening on (\S+)", self.log.read_text())
            if found:
                return program, found[1]
            time.sleep(0.05)
        program.stop()
        raise RuntimeError(f"proxy --listen did not start: {self.log.read_text()}")


class Control(http.server.ThreadingHTTPServer):
    """Serves the actions that a driver requests during its run. A direct client keeps its valid token."""

    def __init__(self, server, mode):
        self.actions = {"/restart": server.restart}
        for action in ["expire", "revoke"]:
            skip = mode == "direct"
            self.actions[f"/{action}"] = (
                (lambda: None) if skip else (lambda action=action: server.admin(action))
            )
        super().__init__(("127.0.0.1", 0), ControlRequest)
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server_port}"


class ControlRequest(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.actions[self.path]()
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def run(client, server_name, mode):
    """Runs one client in one mode, and returns its results by check."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="mcp-oauth-clients-"))
    programs, control = [], None
    try:
        server = Server(server_name, directory)
        programs.append(server)
        home = Home(directory)
        home.run("login", "it", f"http://127.0.0.1:{server.port}/mcp")
        control = Control(server, mode)
        if mode == "direct":
            url, token = f"http://127.0.0.1:{server.port}/mcp", home.run("token", "it")
            target = {"url": url, "token": token}
        elif mode == "listen":
            program, url = home.listen("it")
            programs.append(program)
            target = {"url": url}
        else:
            target = {"command": COMMAND, "args": ["proxy", "it"], "env": home.environment}
        arguments = [*CLIENTS[client], json.dumps(target), control.url]
        with open(directory / "driver.log", "wb") as log:
            driver = Program(arguments, cwd=HERE, stdout=subprocess.PIPE, stderr=log,
                             env={**os.environ, "HOME": str(directory)})
        programs.append(driver)
        line = first_line(driver.process.stdout)
        if not line:
            return {"driver": (directory / "driver.log").read_text()[-2000:]}
        # Ports differ from run to run.
        for port in [server.port, server.inner, control.server_port]:
            line = line.replace(str(port), "PORT")
        return json.loads(line)
    finally:
        for program in reversed(programs):
            program.stop()
        if control:
            control.shutdown()
            control.server_close()
        if not os.environ.get("MCP_OAUTH_TEST_KEEP"):
            shutil.rmtree(directory, ignore_errors=True)
        else:
            print(f"{client} / {server_name} / {mode}: {directory}")


def first_line(pipe):
    """Reads a line. Returns an empty string after `RUN_TIMEOUT` seconds."""
    deadline, text = time.monotonic() + RUN_TIMEOUT, b""
    while not text.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([pipe], [], [], left)[0]:
            return ""
        chunk = os.read(pipe.fileno(), 1 << 20)
        if not chunk:
            break
        text += chunk
    return text.decode()


def era_of(handshake):
    """Returns the protocol version. Inspector prints the whole message."""
    return handshake.get("version") or handshake.get("result", {}).get("protocolVersion", "")


def applies(rule, facts):
    limits = [(facts[name], rule[name]) for name in facts if name in rule]
    return all(fact == limit or isinstance(limit, list) and fact in limit for fact, limit in limits)


class Comparison:
    """All results, and the expected differences among them."""

    def __init__(self):
        self.results, self.unexpected, self.used = {}, [], set()
        self.expected = json.loads((HERE / "expected.json").read_text())

    def rule(self, facts, got):
        """Returns the number of the rule that expects this difference."""
        text = json.dumps(got, ensure_ascii=False)
        for number, rule in enumerate(self.expected):
            if applies(rule, facts) and rule.get("shows", "") in text:
                self.used.add(number)
                return number
        return None

    def cell(self, client, server, check):
        """Returns the cell of the table, and records unexpected differences."""
        results = self.results[client, server]
        direct, notes = results["direct"].get(check), []
        for mode in MODES[1:]:
            got = results[mode].get(check)
            facts = {"client": client, "server": server, "mode": mode, "check": check}
            if got == direct:
                numbers = [n for n, rule in enumerate(self.expected) if rule.get("sometimes")]
                number = next((n for n in numbers if applies(self.expected[n], facts)), None)
            else:
                number = self.rule(facts, got)
                if number is None:
                    self.unexpected.append((client, server, mode, check, direct, got))
                    notes.append(f"{mode}: ?")
            if number is not None:
                notes.append(f"{mode}: [{number + 1}](#differences)")
        if direct is None and not notes:
            return "–"
        failed = isinstance(direct, dict) and "error" in direct and check != "unknown_method"
        return ", ".join(notes) or ("same failure" if failed else "same")

    def table(self, clients):
        lines = []
        for server in SERVERS:
            shown = [client for client in clients if (client, server) in self.results]
            if not shown:
                continue
            versions = [self.results[client, server]["direct"] for client in shown]
            eras = [era_of(result.get("handshake", {})) for result in versions]
            heads = [
                f"{client}<br>{result.get('library', '')}<br>{era}"
                for client, result, era in zip(shown, versions, eras)
            ]
            lines += [f"## {TITLES[server]}", "", "| check | " + " | ".join(heads) + " |"]
            lines.append("|---" * (len(shown) + 1) + "|")
            for check, title in CHECKS.items():
                cells = [self.cell(client, server, check) for client in shown]
                lines.append(f"| {title} | " + " | ".join(cells) + " |")
            lines.append("")
        return lines


TITLES = {
    "python-sdk": "Server of the Python SDK, with its own bearer check",
    "everything": "`@modelcontextprotocol/server-everything` behind a bearer check",
}
HEAD = """# Real clients

Each client runs the same checks directly, with a valid token, and through `mcp-oauth proxy` on stdio \
and `proxy --listen`. `scripts/check clients` runs them, and `MCP_OAUTH_TEST_WRITE_TABLE=1` writes this \
page.

"same" means that the client gets the same result through both proxies as over the direct connection, \
"same failure" that the check fails without a proxy too, and "–" that the client does not support it. A \
number is a difference that is listed below.
"""


def refresh_concurrently():
    """Runs 24 proxies of one login on tokens of six seconds for 25 s, and returns failed calls."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="mcp-oauth-clients-"))
    server = Server("python-sdk", directory, lifetime=6)
    home = Home(directory)
    calls, failures = [], []

    def client(_):
        with open(home.log, "ab") as log:
            proxy = Program([COMMAND, "proxy", "it"], env=home.environment,
                            stdout=subprocess.PIPE, stderr=log, bufsize=0)
        reader = proxy.process.stdout
        number = 0

        def request(method, params):
            nonlocal number
            number += 1
            send({"id": number, "method": method, "params": params})
            while True:
                message = json.loads(first_line(reader) or '{"id": -1}')
                if message.get("id") in (number, -1):
                    return message

        def send(message):
            proxy.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

        try:
            info = {"name": "mcp-oauth-clients", "version": "1"}
            request("initialize", {"protocolVersion": "2025-11-25", "capabilities": {},
                                   "clientInfo": info})
            send({"method": "notifications/initialized"})
            until = time.monotonic() + 25
            while time.monotonic() < until:
                response = request("tools/call", {"name": "echo", "arguments": {"message": "x"}})
                calls.append(1)
                result = response.get("result", {})
                if not result or result.get("isError"):
                    failures.append(response)
                time.sleep(0.5)
        finally:
            proxy.stop()

    try:
        home.run("login", "it", f"http://127.0.0.1:{server.port}/mcp")
        with ThreadPoolExecutor(24) as pool:
            list(pool.map(client, range(24)))
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)
    print(f"24 proxies on tokens of six seconds, 25 s: {len(calls)} calls, {len(failures)} failed")
    return failures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--few", action="store_true")
    parser.add_argument("--server", action="append", choices=SERVERS)
    parser.add_argument("clients", nargs="*")
    options = parser.parse_args()
    clients = options.clients or (FEW if options.few else list(CLIENTS))
    servers = options.server or (SERVERS[:1] if options.few else SERVERS)
    full = not options.few and not options.clients and not options.server

    comparison = Comparison()
    pairs = [(client, server) for server in servers for client in clients]
    with ThreadPoolExecutor(int(os.environ.get("MCP_OAUTH_TEST_PARALLEL", 4))) as pool:
        jobs = {(pair, mode): pool.submit(run, *pair, mode) for pair in pairs for mode in MODES}
        for pair in pairs:
            comparison.results[pair] = {mode: jobs[pair, mode].result() for mode in MODES}
    if dump := os.environ.get("MCP_OAUTH_TEST_RESULTS"):
        results = {" / ".join(pair): result for pair, result in comparison.results.items()}
        pathlib.Path(dump).write_text(json.dumps(results, indent=1, ensure_ascii=False))

    passed = failed = 0
    lines = comparison.table(clients)
    for (client, server), results in comparison.results.items():
        for mode, result in results.items():
            if "driver" in result:
                print(f"{client} / {server} / {mode}: the driver ended: {result['driver']}")
                failed += 1
            else:
                passed += 1
    for client, server, mode, check, direct, got in comparison.unexpected:
        print(f"DIFFERENT {client} / {server} / {mode} / {check}\n  direct: {short(direct)}\n"
              f"  {mode}: {short(got)}")
        failed += 1
    for number, rule in enumerate(comparison.expected):
        if full and number not in comparison.used and not rule.get("sometimes"):
            print(f"expected.json lists a difference that does not occur: {rule}")
            failed += 1
    refresh_failures = refresh_concurrently() if full else []
    failed += len(refresh_failures) > 0
    if options.write and full:
        reasons = [f"{n}. {rule['reason']}" for n, rule in enumerate(comparison.expected, 1)]
        last = last_run(len(refresh_failures))
        text = "\n".join([HEAD, last, "", *lines, "## Differences", "", *reasons, ""])
        (ROOT / "docs/clients.md").write_text(text)
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


def last_run(refresh_failures):
    command = ["git", "-C", ROOT, "rev-parse", "--short=12", "HEAD"]
    commit = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return (
        f"Last full run: {datetime.date.today()}, commit `{commit}`, `scripts/check clients`. In it 24 "
        f"proxies of one login called a tool for 25 s on tokens of six seconds; {refresh_failures} calls "
        "failed."
    )


def short(value):
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 700 else text[:500] + " … " + text[-150:]


main()
