"""An authorization server, built on Authlib: registration, authorization code with PKCE, rotating refresh tokens,
revocation, an issuer in its answers. It stands beside the tool server that it protects, in the test's event loop."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from authlib.oauth2 import AuthorizationServer, OAuth2Request
from authlib.oauth2.rfc6749 import ClientMixin, JsonRequest, TokenMixin, grants
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7591 import ClientRegistrationEndpoint
from authlib.oauth2.rfc7636 import CodeChallenge
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

SCOPE = "tools"


@dataclass
class Client(ClientMixin):  # type: ignore[misc]
    client_id: str
    client_secret: str
    metadata: Mapping[str, Any]

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> str:
        return str(self.metadata["redirect_uris"][0])

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri in self.metadata["redirect_uris"] or self.metadata["redirect_uris"] == ["*"]

    def check_client_secret(self, client_secret: str) -> bool:
        return secrets.compare_digest(self.client_secret, client_secret)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return bool(method == self.metadata.get("token_endpoint_auth_method", "none"))

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in ("authorization_code", "refresh_token")


@dataclass
class Token(TokenMixin):  # type: ignore[misc]
    access_token: str
    refresh_token: str
    client_id: str
    scope: str
    expires_at: float
    revoked: bool = False

    def check_client(self, client: Client) -> bool:
        return self.client_id == client.client_id

    def get_scope(self) -> str:
        return self.scope

    def is_expired(self) -> bool:
        return time.time() > self.expires_at

    def is_revoked(self) -> bool:
        return self.revoked


@dataclass
class Code:
    code: str
    client_id: str
    redirect_uri: str
    scope: str
    code_challenge: str
    code_challenge_method: str

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope


@dataclass
class Books:
    """What the server knows. `lifetime_s` is that of an access token; `asked` are the forms that came in."""

    lifetime_s: int = 3600
    clients: dict[str, Client] = field(default_factory=dict)
    codes: dict[str, Code] = field(default_factory=dict)
    tokens: list[Token] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    down: bool = False
    grants: Collection[str] | None = None
    """The scopes that it gives at all, if not all."""
    wished: list[str] = field(default_factory=list)
    """The scopes of each visit to its page."""
    renews: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while it answers those that renew; else they wait."""
    methods: list[str] = field(default_factory=list)
    """How a client proves who it is, where the server says so."""

    def __post_init__(self) -> None:
        self.renews.set()

    def accepts(self, bearer: str) -> bool:
        found = next((token for token in self.tokens if f"Bearer {token.access_token}" == bearer), None)
        return found is not None and not found.revoked and not found.is_expired()

    def allows(self, bearer: str) -> set[str]:
        found = next((token for token in self.tokens if f"Bearer {token.access_token}" == bearer), None)
        return set(found.scope.split()) if found else set()

    def given(self, scope: str | None) -> str:
        return " ".join(each for each in (scope or "").split() if self.grants is None or each in self.grants)

    def of_grant(self, kind: str) -> list[dict[str, str]]:
        return [form for form in self.asked if form.get("grant_type") == kind]


class AuthCode(grants.AuthorizationCodeGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = ("none", "client_secret_post", "client_secret_basic")

    def save_authorization_code(self, code: str, request: Any) -> None:
        asked = request.payload.data
        challenge = (asked["code_challenge"], asked["code_challenge_method"])
        self.server.books.codes[code] = Code(
            code, request.client.client_id, asked["redirect_uri"], self.server.books.given(request.scope), *challenge
        )

    def query_authorization_code(self, code: str, client: Client) -> Code | None:
        found: Code | None = self.server.books.codes.get(code)
        return found if found and found.client_id == client.client_id else None

    def delete_authorization_code(self, authorization_code: Code) -> None:
        del self.server.books.codes[authorization_code.code]

    def authenticate_user(self, authorization_code: Code) -> str:
        return "ann"


class Refresh(grants.RefreshTokenGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = ("none", "client_secret_post", "client_secret_basic")
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> Token | None:
        found = (each for each in self.server.books.tokens if each.refresh_token == refresh_token and not each.revoked)
        return next(found, None)

    def authenticate_user(self, refresh_token: Token) -> str:
        return "ann"

    def revoke_old_credential(self, refresh_token: Token) -> None:
        refresh_token.revoked = True


class Registration(ClientRegistrationEndpoint):  # type: ignore[misc]
    def authenticate_token(self, request: Any) -> str:
        return "anybody"

    def get_server_metadata(self) -> dict[str, Any]:
        return {}

    def generate_client_info(self, request: Any) -> dict[str, Any]:
        return {"client_id": f"registered-{secrets.token_hex(4)}", "client_id_issued_at": int(time.time())}

    def save_client(self, client_info: Any, client_metadata: Any, request: Any) -> Client:
        client = Client(client_info["client_id"], "", dict(client_metadata))
        self.server.books.clients[client.client_id] = client
        return client


class Revocation(RevocationEndpoint):  # type: ignore[misc]
    CLIENT_AUTH_METHODS = ("none", "client_secret_post")

    def query_token(self, token_string: str, token_type_hint: str | None) -> Token | None:
        tokens = self.server.books.tokens
        return next((each for each in tokens if token_string in (each.access_token, each.refresh_token)), None)

    def revoke_token(self, token: Token, request: Any) -> None:
        token.revoked = True


class _OfStarlette(OAuth2Request):  # type: ignore[misc]
    def __init__(self, method: str, url: str, headers: Mapping[str, str], query: Mapping[str, str], form: Any) -> None:
        super().__init__(method, url, headers=headers)
        self._query, self._form = dict(query), dict(form)
        self.payload = BasicOAuth2Payload({**self._query, **self._form})

    @property
    def args(self) -> dict[str, str]:
        return self._query

    @property
    def form(self) -> dict[str, str]:
        return self._form


class Authorization(AuthorizationServer):  # type: ignore[misc]
    def __init__(self, books: Books) -> None:
        super().__init__()
        self.books = books
        self.register_grant(AuthCode, [CodeChallenge(required=True)])
        self.register_grant(Refresh)
        self.register_endpoint(Registration)
        self.register_endpoint(Revocation)
        made = lambda *_, **__: secrets.token_urlsafe(24)  # noqa: E731
        self.register_token_generator("default", BearerTokenGenerator(made, made, lambda *_: books.lifetime_s))

    def query_client(self, client_id: str) -> Client | None:
        return self.books.clients.get(client_id)

    def save_token(self, token: Mapping[str, Any], request: Any) -> None:
        given = (token["access_token"], token["refresh_token"], request.client.client_id, token.get("scope") or "")
        self.books.tokens.append(Token(*given, expires_at=time.time() + token["expires_in"]))

    def create_oauth2_request(self, request: Any) -> Any:
        return request

    def create_json_request(self, request: Any) -> Any:
        return request

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None: ...

    def handle_response(self, status: int, body: Any, headers: Any) -> Response:
        said = json.dumps(body) if isinstance(body, dict) else body
        return Response(said or "", status, dict(headers))


def application(books: Books, *, issuer_in_answers: bool = True) -> Any:
    """The server as an ASGI application, at the origin where it is asked. `?as=no` on the page is a denial."""
    server = Authorization(books)

    async def answer(request: Request) -> Response:
        origin = f"http://{request.headers['host']}"
        form = {key: str(value) for key, value in (await request.form()).items()}
        books.asked += [form] if form else []
        match request.url.path:
            case "/.well-known/oauth-protected-resource/mcp":
                said = {"resource": f"{origin}/mcp", "authorization_servers": [origin], "scopes_supported": [SCOPE]}
                return JSONResponse(said)
            case "/.well-known/oauth-authorization-server":
                return JSONResponse(
                    {
                        "issuer": origin,
                        "authorization_endpoint": f"{origin}/authorize",
                        "token_endpoint": f"{origin}/token",
                        "registration_endpoint": f"{origin}/register",
                        "revocation_endpoint": f"{origin}/revoke",
                        "response_types_supported": ["code"],
                        **({"token_endpoint_auth_methods_supported": books.methods} if books.methods else {}),
                        "code_challenge_methods_supported": ["S256"],
                        "authorization_response_iss_parameter_supported": issuer_in_answers,
                    }
                )
            case "/register":
                asked = JsonRequest("POST", str(request.url), request.headers)
                asked.payload = BasicOAuth2Payload(await request.json())
                return server.create_endpoint_response("client_registration", asked)  # type: ignore[no-any-return]
        if books.down:
            return Response("try later", 503)
        asked = _OfStarlette(request.method, str(request.url), request.headers, request.query_params, form)
        if form.get("grant_type") == "refresh_token":
            await books.renews.wait()
        if request.url.path == "/authorize":
            books.wished.append(request.query_params.get("scope", ""))
            denied = asked.args.pop("as", "") == "no"
            grant = server.get_consent_grant(asked, "ann")
            answer = server.create_authorization_response(asked, None if denied else "ann", grant)
            if issuer_in_answers:
                answer.headers["location"] += "&" + urlencode({"iss": origin})
            return answer  # type: ignore[no-any-return]
        if request.url.path == "/token":
            return server.create_token_response(asked)  # type: ignore[no-any-return]
        if request.url.path == "/revoke":
            return server.create_endpoint_response("revocation", asked)  # type: ignore[no-any-return]
        return Response("nothing here", 404)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await (await answer(Request(scope, receive)))(scope, receive, send)

    return app
