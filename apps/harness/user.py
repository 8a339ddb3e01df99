"""The user at the browser: opens a URL, follows its redirects, and approves on the consent page.

As a program, `user.py URL`, it is the browser that mcp-oauth opens. Like a browser it runs in the
background: the command waits for the programs that it starts.
"""

import html
import os
import re
import sys
import urllib.error
import urllib.parse
import urllib.request

MAX_PAGES = 10
TIMEOUT = 30


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


BROWSER = urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirect)


def approve(url):
    """Approves, and returns the URLs that the browser fetched. The last one is the page at the end."""
    visited, form = [], None
    for _ in range(MAX_PAGES):
        visited.append(url)
        try:
            response = BROWSER.open(url, form, TIMEOUT)
            status, headers, page = response.status, response.headers, response.read().decode()
        except urllib.error.HTTPError as error:
            status, headers, page = error.code, error.headers, error.read().decode()
        if 300 <= status < 400:
            url, form = urllib.parse.urljoin(url, headers["location"]), None
            continue
        if status >= 400:
            raise RuntimeError(f"the browser got {status} from {url}: {page[:300]}")
        found = consent(page)
        if not found:
            return visited
        action, fields = found
        url = urllib.parse.urljoin(url, action)
        form = urllib.parse.urlencode({**fields, "decision": "approve"}).encode()
    raise RuntimeError(f"no end after {MAX_PAGES} pages: {url}")


def consent(page):
    """Returns the action and the hidden fields of the consent form, if the page has one."""
    form = re.search(r'<form method="post" action="([^"]*)"(.*?)</form>', page, re.DOTALL)
    if not form or 'name="ticket"' not in form[2]:
        return None
    fields = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', form[2])
    return html.unescape(form[1]), {name: html.unescape(value) for name, value in fields}


if __name__ == "__main__":
    if os.fork() == 0:
        approve(sys.argv[1])
