"""The user's response to the URL elicitations that an app shows."""

import threading

from . import user


class Elicitations:
    """Decides on each URL that the app shows. `action` is the next decision. An accepted URL is opened in
    the user's browser, as the app would do it."""

    def __init__(self):
        self.action, self.shown, self.visited, self.problems = "accept", [], [], []

    def decide(self, url, message):
        self.shown.append((url, message))
        if self.action == "accept":
            threading.Thread(target=self.open, args=(url,), daemon=True).start()
        return self.action

    def open(self, url):
        try:
            self.visited += user.approve(url)
        except Exception as error:
            self.problems.append(str(error))
