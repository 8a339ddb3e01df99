"""A network namespace with loopback alone: an app cannot reach any other machine, and fails at once."""

import fcntl
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import sys

INSIDE = "MCP_OAUTH_TEST_INSIDE_NAMESPACE"
# linux/sockios.h and linux/if.h.
SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 0x1, 0x40
# As root; with a user namespace; and where the system does not let users create one, by sudo.
COMMANDS = [["unshare", "--net"], ["unshare", "--map-root-user", "--net"], ["sudo", "-n", "unshare", "--net"]]


def enter():
    """Runs this program again in a new namespace, with loopback up. Returns inside of it."""
    if INSIDE not in os.environ:
        run_inside()
    del os.environ[INSIDE]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH", b"lo", IFF_UP | IFF_RUNNING)
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, request)
    # Not /sys/class/net, which may still be that of the outer namespace.
    lines = pathlib.Path("/proc/self/net/dev").read_text().splitlines()[2:]
    interfaces = [line.partition(":")[0].strip() for line in lines]
    if interfaces != ["lo"]:
        sys.exit(f"apps: the network is not isolated: {interfaces}")
    if "SUDO_UID" in os.environ and os.getuid() == 0:
        os.setgroups([])
        os.setgid(int(os.environ["SUDO_GID"]))
        os.setuid(int(os.environ["SUDO_UID"]))


def run_inside():
    command = available()
    if not command:
        sys.exit("apps: cannot create a network namespace (Linux only); the apps run only without a network")
    # sudo removes most variables.
    kept = [name for name in os.environ if name == "PATH" or name.startswith("MCP_OAUTH_TEST_")]
    environment = [f"{name}={os.environ[name]}" for name in kept]
    command = [*command, "env", f"{INSIDE}=1", *environment, sys.executable, *sys.argv]
    os.execvp(command[0], command)


def available():
    """Returns the command that creates a namespace, if there is one."""
    for command in COMMANDS:
        if shutil.which(command[0]):
            tried = subprocess.run([*command, "true"], stdin=subprocess.DEVNULL, capture_output=True)
            if tried.returncode == 0:
                return command
    return None


if __name__ == "__main__":
    sys.exit(available() is None)
