"""The user's response to the URL elicitations that an app shows."""

import collections
import threading

from . import user


class Elicitations:
    """Decides on each URL that the app shows. `action` is the next decision. An accepted URL is opened in
    the user's browser, as the app would do it. `shown` counts the URLs, by the check that `check` returns."""

    def __init__(self, journal):
        self.action, self.journal, self.problems = "accept", journal, []
        self.check, self.shown = None, collections.Counter()

    def decide(self, url, message):
        self.shown[self.check()] += 1
        self.journal += [f"app: {message}", f"     {url}", f"user: {self.action}"]
        if self.action == "accept":
            threading.Thread(target=self.open, args=(url,), daemon=True).start()
        return self.action

    def open(self, url):
        try:
            visited = user.approve(url)
            pages = [page.partition("?")[0] for page in visited]
            self.journal.append(f"browser: {' → '.join(pages)}")
        except Exception as error:
            self.problems.append(str(error))
