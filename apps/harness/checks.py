"""The checks of an app with one way to get the token."""

import re

from . import leaks
from .elicitation import Elicitations
from .endpoint import Endpoint
from .home import Home
from .model import Call, ScriptedModel, text_of
from .testbed import Testbed

CHECKS = {
    "entry": "the app accepts the entry",
    "connects": "its health check passes",
    "call": "tool call",
    "expired": "the token has expired",
    "revoked": "the token was revoked",
    "step_up": "a tool needs more scope",
    "login": "a login is needed",
    "declined": "the user declines the login",
    "later": "after `mcp-oauth login`",
    "direct": "tool call without a model",
    "secrets": "no secret outside",
    "five": "five commands",
}
# A headers helper cannot widen a scope, and nothing is shown that the user could decline.
NOT_WITH_HEADERS = ["step_up", "declined"]
# The checks in which the app shows one elicitation of the proxy.
ELICITED = ["step_up", "login", "declined"]
LIFETIME = 300
PASSES = "passes"
LONGEST = 400
# The results of the tools `whoami` and `write_note`.
SUCCESS = re.compile(r'^\{"(client_id|count)":')


def run(app_type, via, journal):
    """Runs every check, and returns the outcome of each: `PASSES`, or what is wrong. `journal` gets a line
    for each event of the conversation."""
    home = Home(f"{app_type.name}-{via}")
    log = open(home.path / "testbed.log", "ab")
    testbed = Testbed(LIFETIME, log)
    outcomes, endpoint = {}, None
    try:
        app = app_type(home)
        app.prepare()
        home.mcp_oauth("login", "notes", testbed.url)
        if via == "listen":
            endpoint = Endpoint(home)
            app.add_url(endpoint.url)
        else:
            home.mcp_oauth("install", "--app", app.name, "notes", "--via", via)
        outcomes["entry"] = guarded(lambda: app.entry(via))
        outcomes["connects"] = guarded(app.connects)
        if app.has_session:
            converse(app, via, testbed, outcomes, journal)
    except Exception as error:
        outcomes["run"] = str(error)
    finally:
        if endpoint:
            endpoint.stop()
        testbed.stop()
        log.close()
        home.remove()
    journal[:] = [masked(line, home) for line in journal]
    return {check: masked(outcome, home) for check, outcome in outcomes.items()}


def guarded(check):
    """Runs a check that returns what is wrong, or none."""
    try:
        return check() or PASSES
    except Exception as error:
        return str(error)


def converse(app, via, testbed, outcomes, journal):
    """Lets a scripted model call tools while the login changes, and searches what everyone received."""
    elicitations = Elicitations(journal)
    steps = script(app.home, via, testbed, elicitations)
    model = ScriptedModel([call for _, call in steps], journal)
    elicitations.check = lambda: steps[model.begun - 1][0]
    session = app.session(model, elicitations)
    try:
        session.turn("Use the notes.")
        for (check, _), result in zip(steps, model.results):
            outcomes[check] = outcome_of(check, text_of(result))
        for check, _ in steps[len(model.results) :]:
            outcomes[check] = "the call was not made"
        for check in ELICITED if via != "headers" else []:
            if outcomes[check] == PASSES and elicitations.shown[check] != 1:
                outcomes[check] = f"the app has shown {elicitations.shown[check]} elicitations"
        if elicitations.problems:
            outcomes["run"] = "; ".join(elicitations.problems)
        if hasattr(session, "call"):
            outcomes["direct"] = outcome_of("direct", session.call("whoami", {}))
    finally:
        session.stop()
        model.stop()
    found = leaks.found(leaks.texts_of(model, session, app.home), testbed)
    outcomes["secrets"] = "; ".join(found) or PASSES


def script(home, via, testbed, elicitations):
    """Returns the calls of the model, and the check that each belongs to."""

    def revoke(action):
        def run():
            elicitations.action = action
            testbed.run("revoke-all")

        return run

    def revoke_access():
        testbed.run("revoke-access")

    def require_scope():
        testbed.run("require", "write_note", "notes:write")

    def log_in():
        home.mcp_oauth("login", "notes", "--force")

    def whoami(event=None, before=None):
        return Call("whoami", None, event, before)

    write_note = Call(
        "write_note", {"text": "tea"}, "`write_note` requires the scope notes:write", require_scope
    )
    steps = [
        ("call", whoami()),
        ("expired", whoami("the access token has expired", testbed.expire)),
        ("revoked", whoami("the access token is revoked", revoke_access)),
        ("step_up", write_note),
        ("login", whoami("the login is revoked", revoke("accept"))),
        ("declined", whoami("the login is revoked, and the user declines", revoke("decline"))),
        ("later", whoami("`mcp-oauth login notes --force` in a terminal", log_in)),
    ]
    return [step for step in steps if via != "headers" or step[0] not in NOT_WITH_HEADERS]


def outcome_of(check, text):
    if check == "declined":
        # The model is told what the user can do, without a URL.
        told = not SUCCESS.search(text) and "mcp-oauth login" in text and "://" not in text
        return PASSES if told else text
    return PASSES if SUCCESS.search(text) else text


def masked(text, home):
    """Removes what differs from run to run, and cuts the text."""
    text = text.replace(str(home.path), "~")
    text = re.sub(r"127\.0\.0\.1(:|%3A)\d+", r"127.0.0.1\1PORT", text)
    # Random values, also those in a path.
    text = re.sub(r"(?<=/)[A-Za-z0-9_-]{22,}|\b[A-Za-z0-9_-]{40,}", "…", text)
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"
