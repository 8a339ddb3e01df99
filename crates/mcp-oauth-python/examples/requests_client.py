"""Sends requests with requests, from two threads.

python requests_client.py https://mcp.example.com/mcp
"""

import sys
from concurrent.futures import ThreadPoolExecutor

import requests

from mcp_client_oauth import sync
from mcp_client_oauth.requests import OAuth


def main(url: str) -> None:
    session = sync.Client().login(url)
    auth = OAuth(session)

    def notes(_: int) -> object:
        return requests.get(f"{url}/notes", auth=auth, timeout=30).json()

    with ThreadPoolExecutor(2) as threads:
        for response in threads.map(notes, range(2)):
            print(response)


main(sys.argv[1])
