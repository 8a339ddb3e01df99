from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar, final

from ._grants import Grant
from ._interaction import DeviceCode

__all__ = [
    "Authorization",
    "Client",
    "Login",
    "Operation",
    "Session",
    "after_fork",
    "client_metadata_document",
    "shut_down",
]

_T = TypeVar("_T", covariant=True)

@final
class Operation(Generic[_T]):
    def __await__(self) -> Generator[Any, None, _T]: ...
    def wait(self) -> _T: ...

@final
class Client:
    def __new__(
        cls,
        *,
        store: str = "auto",
        password: str | None = None,
        client_name: str | None = None,
        client_metadata_url: str | None = None,
        client_metadata_key: str | None = None,
        public_networks_only: bool = False,
        on_authorization_url: Callable[[str], object] | None = None,
        on_device_code: Callable[[DeviceCode], object] | None = None,
    ) -> Client: ...
    @property
    def store(self) -> str: ...
    def logins(self) -> Operation[list[tuple[str, str | None]]]: ...
    def logout(
        self, url: str, *, account: str | None = None
    ) -> Operation[tuple[bool, Any, str | None]]: ...
    def remove(self, url: str, *, account: str | None = None) -> Operation[bool]: ...
    def flush(self) -> Operation[None]: ...

@final
class Login:
    def __new__(
        cls,
        client: Client,
        url: str,
        *,
        account: str | None = None,
        scope: str | list[str] | None = None,
        grant: Grant | None = None,
        client_id: str | None = None,
        client_secret: str | None = None,
        private_key: str | None = None,
        client_issuer: str | None = None,
        client_metadata_url: str | None = None,
        client_metadata_key: str | None = None,
        client_name: str | None = None,
        redirect_port: int | None = None,
        redirect_uri: str | None = None,
        timeout: float | None = None,
        return_to: str | None = None,
        reauthenticate: bool = False,
        force: bool = False,
        reuse_issuer_login: bool = False,
        dpop: bool | None = None,
        legacy: bool = False,
        challenge: str | None = None,
        server_metadata: str | None = None,
        quirks: str | None = None,
    ) -> Login: ...
    def run(self) -> Operation[Session]: ...
    def stored(self) -> Operation[Session | None]: ...
    def on_demand(self) -> Session: ...
    def begin(self) -> Operation[tuple[str, str]]: ...

@final
class Session:
    @staticmethod
    def finish(client: Client, callback_url: str, browser_secret: str) -> Operation[Session]: ...
    @property
    def url(self) -> str: ...
    @property
    def account(self) -> str | None: ...
    @property
    def is_reused(self) -> bool: ...
    @property
    def return_to(self) -> str | None: ...
    @property
    def scope(self) -> str | None: ...
    @property
    def missing_scope(self) -> str | None: ...
    @property
    def expires_at(self) -> float | None: ...
    def cached_header(self) -> str | None: ...
    def header(self) -> Operation[str]: ...
    def header_after_rejection(
        self, refused: str, status: int, headers: list[tuple[str, str]]
    ) -> Operation[str]: ...
    def credentials(self, method: str, url: str) -> Operation[list[tuple[str, str]]]: ...
    def request(
        self,
        method: str,
        path: str,
        *,
        headers: list[tuple[str, str]],
        body: bytes | None = None,
        timeout: float | None = None,
        retry_on_401: bool = True,
    ) -> Operation[tuple[int, list[tuple[str, str]], bytes]]: ...
    def refresh(self) -> Operation[None]: ...
    def logout(self) -> Operation[tuple[bool, Any, str | None]]: ...

@final
class Authorization:
    def __new__(cls, session: Session, method: str, url: str) -> Authorization: ...
    def cached_headers(self) -> list[tuple[str, str]] | None: ...
    def headers(self) -> Operation[list[tuple[str, str]]]: ...
    def response(
        self, status: int, headers: list[tuple[str, str]], can_retry: bool
    ) -> Operation[list[tuple[str, str]] | None] | None: ...

def client_metadata_document(
    client_id: str, client_name: str, redirect_uris: list[str], key: str | None = None
) -> str: ...
def after_fork() -> None: ...
def shut_down() -> None: ...
