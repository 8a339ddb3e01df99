"""A program that reads and writes JSON lines, in its own process group."""

import json
import os
import queue
import signal
import subprocess
import threading
import time

TIMEOUT = 120


class LineProcess:
    """Starts a program. `received` holds each message that it wrote: what the app shows to its user."""

    def __init__(self, command, home, **environment):
        self.received, self.lines = [], queue.Queue()
        self.log = open(home.path / "app.log", "ab")
        self.process = subprocess.Popen(
            command,
            env={**home.environment, **environment},
            cwd=home.work,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            bufsize=1,
            start_new_session=True,
        )
        threading.Thread(target=self.pump, daemon=True).start()

    def pump(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put("")

    def send(self, message):
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def read(self):
        """Returns the next message. Raises at the end, and after `TIMEOUT` seconds of silence."""
        deadline = time.monotonic() + TIMEOUT
        while True:
            try:
                line = self.lines.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                raise RuntimeError(f"the app was silent for {TIMEOUT} s") from None
            if not line:
                raise RuntimeError("the app has ended")
            if line.startswith("{"):
                message = json.loads(line)
                self.received.append(message)
                return message

    def stop(self):
        """Closes stdin and waits, so that the app can end its servers; then ends what is left."""
        try:
            self.process.stdin.close()
            self.process.wait(timeout=5)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.log.close()
