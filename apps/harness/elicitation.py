"""The user's response to the URL elicitations that an app shows."""

import threading

from . import user


class Elicitations:
    """Decides on each URL that the app shows. `action` is the next decision. An accepted URL is opened in
    the user's browser, as the app would do it."""

    def __init__(self, journal):
        self.action, self.journal, self.problems = "accept", journal, []

    def decide(self, url, message):
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
