"""The comparison with the expected outcomes, and docs/apps.md."""

import datetime
import json
import pathlib
import subprocess

from .checks import CHECKS, PASSES

HERE = pathlib.Path(__file__).resolve().parents[1]
ROOT = HERE.parent
HEAD = """# Real apps

The apps run offline, in a network namespace with loopback alone and in a private home, with the entry that \
`mcp-oauth install` writes. The server is the testbed; the model is a script that requests tool calls while \
the token expires, is revoked, and the login ends. `scripts/check apps` runs them, and \
`MCP_OAUTH_TEST_WRITE_TABLE=1` writes this page. [apps/README.md](../apps/README.md) says what is checked.

A number is a difference that is listed below, and "–" that the check does not apply.
"""


class Report:
    """The outcomes by app and way, and the rules of `expected.json` that apply to them."""

    def __init__(self):
        self.outcomes, self.unexpected, self.used = {}, [], set()
        self.transcripts = {}
        self.rules = json.loads((HERE / "expected.json").read_text())

    def add(self, app, via, outcomes):
        self.outcomes[app, via] = outcomes
        for check, outcome in outcomes.items():
            if outcome == PASSES:
                continue
            number = self.rule(app.name, via, check, outcome)
            if number is None:
                self.unexpected.append(f"{app.title}, {via}, {CHECKS.get(check, check)}: {outcome}")

    def rule(self, app, via, check, outcome):
        """Returns the number of the rule that expects this outcome."""
        facts = {"app": app, "via": via, "check": check}
        for number, rule in enumerate(self.rules):
            names = all(facts[key] in rule[key] for key in facts if key in rule)
            if names and rule["shows"] in outcome:
                self.used.add(number)
                return number
        return None

    def unused(self):
        """Returns the rules that matched nothing."""
        return [rule for number, rule in enumerate(self.rules) if number not in self.used]

    def table(self):
        columns = list(self.outcomes)
        heads = [f"{app.title}<br>{app.version()}<br>{via}" for app, via in columns]
        lines = ["| check | " + " | ".join(heads) + " |", "|---" * (len(columns) + 1) + "|"]
        for check, title in CHECKS.items():
            cells = [self.cell(app, via, check) for app, via in columns]
            lines.append(f"| {title} | " + " | ".join(cells) + " |")
        return lines

    def cell(self, app, via, check):
        outcomes = self.outcomes[app, via]
        outcome = outcomes.get(check, outcomes.get("run"))
        if outcome in (None, PASSES):
            return "–" if outcome is None else PASSES
        number = self.rule(app.name, via, check, outcome)
        return "**fails**" if number is None else f"[{number + 1}](#differences)"

    def page(self):
        commit = git("rev-parse", "--short=12", "HEAD")
        today = datetime.date.today().isoformat()
        lines = [HEAD, f"Last full run: {today}, commit `{commit}`, `scripts/check apps`.", ""]
        lines += [*self.table(), "", "## Differences", ""]
        lines += [f"{number + 1}. {rule['reason']}" for number, rule in enumerate(self.rules)]
        if not self.rules:
            lines.append("None.")
        for title, text in self.transcripts.items():
            lines += ["", f"## {title}", "", "```text", text.strip(), "```"]
        return "\n".join(lines) + "\n"

    def write(self):
        (ROOT / "docs/apps.md").write_text(self.page())


def git(*arguments):
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip()
