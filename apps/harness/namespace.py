"""A network namespace with loopback alone: an app that calls home fails at once, and reaches nobody."""

import fcntl
import os
import pathlib
import shutil
import socket
import struct
import sys

INSIDE = "MCP_OAUTH_TEST_INSIDE_NAMESPACE"
# linux/sockios.h and linux/if.h.
SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 0x1, 0x40


def enter():
    """Runs this program again in a new namespace, with loopback up. Returns inside of it."""
    if os.environ.pop(INSIDE, None) is None:
        if not shutil.which("unshare"):
            sys.exit("apps: no `unshare` (util-linux); the apps run only without a network")
        user = [] if os.geteuid() == 0 else ["--map-root-user"]
        environment = {**os.environ, INSIDE: "1"}
        command = ["unshare", *user, "--net", sys.executable, *sys.argv]
        os.execvpe(command[0], command, environment)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH", b"lo", IFF_UP | IFF_RUNNING)
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, request)
    # Not /sys/class/net, which may still be that of the outer namespace.
    lines = pathlib.Path("/proc/self/net/dev").read_text().splitlines()[2:]
    interfaces = [line.partition(":")[0].strip() for line in lines]
    if interfaces != ["lo"]:
        sys.exit(f"apps: the network is not isolated: {interfaces}")
