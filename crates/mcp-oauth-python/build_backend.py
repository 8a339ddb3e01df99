"""Builds the package with maturin, and adds the command `mcp-oauth` to it.

maturin packs a module or a program into a wheel, not both. So it builds the program first, with the same
options, for the same platform tag; then the module, with the program among the wheel's scripts.
"""

from __future__ import annotations

import contextlib
import io
import pathlib
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from typing import Any

import maturin
from maturin import (
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

#: maturin adds the files of this directory to the wheel, if it exists.
DATA = pathlib.Path("mcp_client_oauth._native.data")


def build_wheel(
    wheel_directory: str,
    config_settings: dict[str, Any] | None = None,
    metadata_directory: str | None = None,
) -> str:
    """Builds a wheel with the module and the command."""
    with command("release", config_settings):
        name: str = maturin.build_wheel(wheel_directory, config_settings, metadata_directory)
    return name


def build_editable(
    wheel_directory: str,
    config_settings: dict[str, Any] | None = None,
    metadata_directory: str | None = None,
) -> str:
    """Builds an editable wheel, without optimization."""
    with command("dev", config_settings):
        name: str = maturin.build_editable(wheel_directory, config_settings, metadata_directory)
    return name


def build_sdist(sdist_directory: str, config_settings: dict[str, Any] | None = None) -> str:
    """Builds a source distribution, and adds the crates that only the command needs."""
    name: str = maturin.build_sdist(sdist_directory, config_settings)
    path = pathlib.Path(sdist_directory, name)
    top = name.removesuffix(".tar.gz")
    complete = io.BytesIO()
    with tarfile.open(path) as packed, tarfile.open(fileobj=complete, mode="w:gz") as archive:
        for member in packed:
            archive.addfile(member, packed.extractfile(member))
        files = packed.getnames()
        for crate in sorted(crates().iterdir()):
            target = f"{top}/crates/{crate.name}"
            if not any(file.startswith(f"{target}/") for file in files):
                archive.add(crate, target, filter=source)
    path.write_bytes(complete.getvalue())
    return name


@contextlib.contextmanager
def command(profile: str, config_settings: dict[str, Any] | None) -> Iterator[None]:
    """Builds the program, and puts it where maturin packs it, until the end of the block."""
    options = maturin.get_maturin_pep517_args(config_settings)
    # As maturin's own defaults for a module that pip builds.
    if "--profile" not in options:
        options = ["--profile", profile, *options]
    if "--compatibility" not in options:
        options = ["--compatibility", "off", *options]
    with tempfile.TemporaryDirectory() as directory:
        build = ["maturin", "build", "--bindings", "bin", "--out", directory, *options]
        subprocess.run(build, cwd=crates() / "mcp-oauth-cli", check=True)
        [wheel] = pathlib.Path(directory).glob("*.whl")
        scripts = DATA / "scripts"
        shutil.rmtree(DATA, ignore_errors=True)
        scripts.mkdir(parents=True)
        try:
            with zipfile.ZipFile(wheel) as archive:
                for member in archive.namelist():
                    parent, _, name = member.rpartition("/")
                    if parent.endswith(".data/scripts"):
                        (scripts / name).write_bytes(archive.read(member))
                        (scripts / name).chmod(0o755)
            yield
        finally:
            shutil.rmtree(DATA)


def crates() -> pathlib.Path:
    """Returns the directory of the crates, in a checkout or in an unpacked source distribution."""
    manifest = maturin.get_config().get("manifest-path", "Cargo.toml")
    return pathlib.Path(manifest).resolve().parents[1]


def source(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leaves out caches, and the user and the times of this checkout."""
    if "__pycache__" in member.name:
        return None
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member
