"""The wheel, as pip, pipx and uv install it, and as the programs that judge wheels see it."""

from __future__ import annotations

import json
import pathlib
import re
import time
import zipfile

import pytest
import tomllib

from environments import TOOLS, Installed, run
from testbed import ROOT, Testbed

RUNS = 15
Results = list[tuple[str, str]]
SERVER = "https://mcp.example.com/mcp"
TAG = "manylinux_2_17_x86_64"

LOGIN = """
import asyncio, sys
from mcp_client_oauth import Client

async def main(url):
    async with Client() as client:
        session = await client.login(url)
        print((await session.get("notes")).status_code)
        print(await session.header())

asyncio.run(main(sys.argv[1]))
"""

SYNC = """
import sys
from mcp_client_oauth.sync import Client

print(Client().session(sys.argv[1]).get("notes").status_code)
"""


def test_the_wheel_has_the_module_and_the_command(wheel: pathlib.Path, results: Results) -> None:
    with zipfile.ZipFile(wheel) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        [script] = [name for name in sizes if ".data/" in name]
        [module] = [name for name in sizes if name.endswith((".so", ".pyd"))]
        executable = archive.getinfo(script).external_attr >> 16 & 0o111
        start = archive.open(script).read(4)
    assert script.endswith(".data/scripts/mcp-oauth")
    assert executable
    # A program, and no Python script that starts one.
    assert start == b"\x7fELF"
    assert "mcp_client_oauth/py.typed" in sizes
    licenses = {name.rpartition("/")[2] for name in sizes if ".dist-info/licenses/" in name}
    assert licenses == {"LICENSE-APACHE", "LICENSE-MIT"}
    results.append(("wheel", f"`{wheel.name}`, {megabytes(wheel.stat().st_size)}"))
    results.append(
        ("installed", f"module {megabytes(sizes[module])}, command {megabytes(sizes[script])}")
    )


def test_auditwheel_accepts_the_platform_tag(
    wheel: pathlib.Path, home: pathlib.Path, results: Results
) -> None:
    report = json.loads(run(str(TOOLS / "auditwheel"), "show", "--json", str(wheel), home=home))
    print(report)
    assert report["overall_tag"] == TAG
    results.append(("auditwheel, module and command", f"`{TAG}`"))


def test_abi3audit_finds_no_symbol_outside_the_stable_abi(
    wheel: pathlib.Path, home: pathlib.Path, results: Results
) -> None:
    out = run(str(TOOLS / "abi3audit"), "--strict", "--report", str(wheel), home=home)
    print(out)
    results.append(("abi3audit, stable ABI of Python 3.10", "no violation"))


def test_twine_accepts_both_distributions(
    wheel: pathlib.Path, sdist: pathlib.Path, home: pathlib.Path, results: Results
) -> None:
    run(str(TOOLS / "twine"), "check", "--strict", str(wheel), str(sdist), home=home)
    results.append(
        (
            "source distribution, from which the wheel is built",
            f"`{sdist.name}`, {megabytes(sdist.stat().st_size)}",
        )
    )


def test_the_module_and_the_command_have_the_version_of_the_workspace(
    installed: Installed, home: pathlib.Path
) -> None:
    workspace = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]
    version = workspace["package"]["version"]
    code = "from importlib.metadata import version; print(version('mcp-client-oauth'))"
    assert installed.run("python", "-c", code, home=home).strip() == version
    assert installed.run("mcp-oauth", "--version", home=home).strip() == f"mcp-oauth {version}"


def test_a_login_of_the_module_is_one_of_the_command(
    installed: Installed, home: pathlib.Path, testbed: Testbed
) -> None:
    status, header = installed.run("python", "-c", LOGIN, testbed.url, home=home).splitlines()
    assert status == "200"
    token = installed.run("mcp-oauth", "token", testbed.url, home=home).strip()
    assert header == f"Bearer {token}"
    assert installed.run("python", "-c", SYNC, testbed.url, home=home).strip() == "200"
    assert testbed.logins() == 1
    installed.run("mcp-oauth", "logout", testbed.url, home=home)


def test_install_writes_the_path_of_the_installed_command(
    installed: Installed, home: pathlib.Path
) -> None:
    installed.run("mcp-oauth", "install", "--app", "cursor", SERVER, home=home)
    assert entry(home) == str(installed.bin / "mcp-oauth")


def test_the_import_is_fast(installed: Installed, home: pathlib.Path, results: Results) -> None:
    def start(code: str) -> float:
        times = []
        for _ in range(RUNS):
            began = time.perf_counter()
            installed.run("python", "-c", code, home=home)
            times.append(time.perf_counter() - began)
        return min(times) * 1000

    took = start("import mcp_client_oauth") - start("")
    version = installed.run("python", "--version", home=home).split()[1]
    results.append((f"Python {version}", f"passes; import {took:.0f} ms"))
    # Generous: the machine may be loaded.
    assert took < 500


@pytest.mark.parametrize(
    ("runner", "install"),
    [
        (["uv", "tool", "run", "--from"], "uv tool install mcp-client-oauth"),
        (["pipx", "run", "--spec"], "pipx install mcp-client-oauth"),
    ],
    ids=["uvx", "pipx"],
)
def test_a_runner_runs_the_command_and_install_refuses_its_cache(
    runner: list[str], install: str, wheel: pathlib.Path, home: pathlib.Path, results: Results
) -> None:
    program, *options = runner
    command = [str(TOOLS / program), *options, str(wheel), "mcp-oauth"]
    assert run(*command, "--version", home=home).startswith("mcp-oauth ")
    with pytest.raises(RuntimeError, match=re.escape(f"install it first: {install}")):
        run(*command, "install", "--app", "cursor", SERVER, home=home)
    results.append(
        (f"`{' '.join(runner)} WHEEL mcp-oauth`", "runs; `install` refuses the path in its cache")
    )


def test_uv_installs_the_command_to_stay(
    wheel: pathlib.Path, home: pathlib.Path, results: Results
) -> None:
    run(str(TOOLS / "uv"), "tool", "install", str(wheel), home=home)
    program = home / ".local/bin/mcp-oauth"
    run(str(program), "install", "--app", "cursor", SERVER, home=home)
    assert entry(home) == str(program)
    results.append(("`uv tool install WHEEL`", "`install` writes the path in `~/.local/bin`"))


def entry(home: pathlib.Path) -> str:
    """Returns the program of the entry that `install` has written."""
    written = json.loads((home / ".cursor/mcp.json").read_text())
    [server] = written["mcpServers"].values()
    program: str = server["command"]
    return program


def megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
