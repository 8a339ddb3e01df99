"""Environments of each installed Python, and programs that run with nothing of this process."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
from typing import NamedTuple

from testbed import BROWSER, ROOT

DIST = pathlib.Path(os.environ.get("MCP_OAUTH_TEST_DIST", ROOT / "target/wheels"))
TOOLS = pathlib.Path(sys.executable).parent
SUPPORTED = [f"3.{minor}" for minor in range(10, 16)]


def pythons() -> list[str]:
    """Returns the supported versions of Python that are installed: on PATH, or by pyenv."""
    return [version for version in SUPPORTED if python(version)]


def python(version: str) -> str | None:
    """Returns the path of a Python; None if it is not installed."""
    pyenv = pathlib.Path(os.environ.get("PYENV_ROOT", pathlib.Path.home() / ".pyenv"))
    found = [shutil.which(f"python{version}")]
    found += map(str, pyenv.glob(f"versions/{version}.*/bin/python{version}"))
    for path in filter(None, found):
        # A shim of pyenv is on PATH, and fails, if the version is installed and not selected.
        if subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
            return path
    return None


class Installed(NamedTuple):
    """An environment with the wheel."""

    bin: pathlib.Path
    version: str

    def run(self, program: str, *arguments: str, home: pathlib.Path) -> str:
        """Runs a program of the environment, and returns its output."""
        return run(str(self.bin / program), *arguments, home=home)


def run(*command: str, home: pathlib.Path, **variables: str) -> str:
    """Runs a program with nothing of this process but the home, and returns its output."""
    environment = {
        "HOME": str(home),
        "PATH": f"{pathlib.Path(command[0]).parent}:/usr/bin:/bin",
        "BROWSER": BROWSER,
        "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent",
        # Every file is here: what is not must not be downloaded.
        "PIP_NO_INDEX": "1",
        "UV_OFFLINE": "1",
        **variables,
    }
    done = subprocess.run(
        command, env=environment, cwd=home, text=True, capture_output=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout}{done.stderr}")
    return done.stdout
