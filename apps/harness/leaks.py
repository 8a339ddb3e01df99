"""The search for what only the client, the servers and the user's browser may know."""

import json
import re

# Tokens and codes of the testbed (`random.rs`), also those that no request has presented yet.
PATTERN = re.compile(r"\b(?:at|rt|code|ticket|device)_[A-Za-z0-9_-]{43}")


def found(texts, testbed):
    """Returns a description of each secret in the texts, which are pairs of a name and a text."""
    secrets = {secret: "a secret of the login" for secret in testbed.run("secrets") if len(secret) > 8}
    secrets[f"{testbed.issuer}/authorize"] = "the authorization URL"
    findings = []
    for name, text in texts:
        # JSON strings in JSON strings escape slashes and quotes, perhaps twice.
        text = text.replace("\\/", "/")
        kinds = {kind for secret, kind in secrets.items() if secret in text}
        kinds |= {f"a value like {match[:8]}…" for match in PATTERN.findall(text)}
        findings += [f"{kind} in {name}" for kind in sorted(kinds)]
    return findings


def texts_of(model, session, home):
    """Returns what the model, the user interface of the app, and the app's files received."""
    for number, (path, body) in enumerate(model.requests):
        yield f"request {number + 1} to the model, {path}", json.dumps(body)
    for number, message in enumerate(session.received()):
        kind = message.get("method") or message.get("type") or "response"
        yield f"message {number + 1} to the user interface, {kind}", json.dumps(message)
    for name, text in home.files():
        yield f"the file {name}", text
