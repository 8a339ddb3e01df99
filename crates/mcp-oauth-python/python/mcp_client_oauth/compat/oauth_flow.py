"""A login at an authorization server that the program configures."""

from __future__ import annotations

from .. import Client, _native
from .exceptions import TokenExchangeError, TokenRefreshError, step
from .oauth_config import OAuthConfig, OAuthTokens


class OAuthFlow:
    """A login with the endpoints and the client of an `OAuthConfig`. It stores nothing."""

    def __init__(self, config: OAuthConfig) -> None:
        self.config = config
        self._client = Client(store="memory")
        self._flow = flow_of(config, self._client)

    def get_authorization_url(self) -> str:
        """Returns the URL where the user authorizes the client."""
        return self._flow.authorization_url(self.config.redirect_uri, scope_of(self.config)).wait()

    async def exchange_code_for_token(self, code: str) -> OAuthTokens:
        """Exchanges a code, or better the whole URL of the callback, for tokens.

        Raises `TokenExchangeError`.
        """
        with step(TokenExchangeError):
            return OAuthTokens.model_validate(await self._flow.exchange(code, "://" in code))

    async def refresh_token(self, refresh_token: str) -> OAuthTokens:
        """Returns new tokens.

        Raises `TokenRefreshError`.
        """
        with step(TokenRefreshError):
            return OAuthTokens.model_validate(await self._flow.refresh(refresh_token))

    async def authorize(self) -> OAuthTokens:
        """Opens the browser, waits five minutes at most, and returns the tokens.

        Raises the error of the step that failed.
        """
        native, config = self._client._native, self.config
        with step(TokenExchangeError):
            session = await self._flow.login(native, None, config.redirect_uri, scope_of(config))
        return OAuthTokens.model_validate(_native.tokens_of(session))


def flow_of(config: OAuthConfig, client: Client) -> _native.Flow:
    """Returns the steps of a login with this configuration."""
    if not config.use_pkce:
        raise ValueError("use_pkce=False is not supported: OAuth 2.1 requires PKCE of every client")
    manual = {
        "authorization_endpoint": config.authorization_url,
        "token_endpoint": config.token_url,
        "registration_endpoint": config.registration_url,
    }
    flow = _native.Flow(
        client._native,
        # Without the MCP server, the authorization server takes its place as the key of the login.
        config.server_url or config.token_url,
        manual,
        config.extra_auth_params,
        with_resource=config.server_url is not None,
    )
    if config.client_id is not None:
        flow.set_client(config.client_id, config.client_secret)
    return flow


def scope_of(config: OAuthConfig) -> str | None:
    """Returns the scope of a configuration, as it is sent."""
    return " ".join(config.scopes) or None
