"""Logins at tool servers: a real authorization server (on Authlib), a real tool server behind it, the real program."""

from __future__ import annotations

import asyncio
import io
import logging
import stat
from pathlib import Path

import httpx2
import pytest

from tests.toolservers.authorization import Books, Client
from tests.toolservers.fleets import call, health, said, until_health
from tests.toolservers.guarded import guarded
from tests.toolservers.places import ANYBODY, Place, browse, expire, fleet, place
from woollama.domain.tools import Offline
from woollama.observe import Scrubber, configure
from woollama.toolservers.browser import NotLoggedIn
from woollama.toolservers.logging_in import log_in, log_out


async def test_a_server_that_wants_a_login_says_so_and_works_after_it(tmp_path: Path) -> None:
    async with place(tmp_path) as at, fleet(at) as servers:
        waiting = health(servers, "far")
        assert waiting.health == "needs login"
        assert waiting.last_error == "it wants a login: `woollama login far`"
        assert await at.log_in_by_program() == (0, "logged in at far\n")
        await until_health(servers, "ready", "far")
        assert await said(servers, "far.echo", text="hi") == "hi"
        (file,) = (tmp_path / "state" / "logins").iterdir()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
        (exchanged,) = at.books.of_grant("authorization_code")
        assert len(exchanged["code_verifier"]) >= 43
        assert exchanged["resource"] == at.far.url


async def test_an_expired_token_is_renewed_in_place_also_after_a_restart(tmp_path: Path) -> None:
    async with place(tmp_path) as at:
        await at.log_in()
        first = at.login()
        expire(at)
        async with fleet(at) as servers:
            assert health(servers, "far").health == "ready"
            renewed = at.login()
            assert renewed.tokens["refresh_token"] != first.tokens["refresh_token"]
            expire(at)
            assert await said(servers, "far.echo", text="hi") == "hi"
            for token in at.books.tokens:  # nobody has told us that it is no good any more
                token.expires_at = 0.0
            assert await said(servers, "far.echo", text="ho") == "ho"
        assert len(at.books.of_grant("refresh_token")) == 3
        async with fleet(at) as servers:
            assert await said(servers, "far.echo", text="again") == "again"
        assert len(at.books.of_grant("refresh_token")) == 3


async def test_calls_at_once_renew_it_once(tmp_path: Path) -> None:
    async with place(tmp_path) as at:
        await at.log_in()
        async with fleet(at) as servers:
            expire(at)
            calls = (said(servers, "far.echo", text=str(number)) for number in range(8))
            assert await asyncio.gather(*calls) == [str(number) for number in range(8)]
        assert len(at.books.of_grant("refresh_token")) == 1


async def test_a_revoked_login_is_told_and_the_model_is_told_too(tmp_path: Path) -> None:
    async with place(tmp_path) as at:
        await at.log_in()
        async with fleet(at) as servers:
            for token in at.books.tokens:
                token.revoked = True
            outcome = await call(servers, "far.echo", text="hi")
            assert isinstance(outcome, Offline), outcome
            assert "needs its owner's login" in outcome.why
            assert "`woollama login far`" in outcome.why
            await until_health(servers, "needs login", "far")
            await at.log_in()
            await until_health(servers, "ready", "far")
            assert await said(servers, "far.echo", text="hi") == "hi"


async def test_an_authorization_server_that_is_down_ends_no_login(tmp_path: Path) -> None:
    async with place(tmp_path) as at:
        await at.log_in()
        async with fleet(at) as servers:
            expire(at)
            at.books.down = True
            outcome = await call(servers, "far.echo", text="hi")
            assert "cannot be renewed now: HTTP 503" in outcome.for_model()
            assert at.login().tokens["refresh_token"]
            at.books.down = False
            assert await said(servers, "far.echo", text="hi") == "hi"


async def test_logging_out_forgets_it_here_and_there(tmp_path: Path) -> None:
    async with place(tmp_path) as at:
        file = at.logins.of("far", at.far.url)
        assert not await log_out(file)
        await at.log_in()
        async with fleet(at) as servers:
            assert await at.ended("logout", "far") == (0, "logged out of far\n")
            assert all(token.revoked for token in at.books.tokens)
            assert file.stamp() is None
            assert isinstance(await call(servers, "far.echo", text="hi"), Offline)


async def test_a_denied_consent_is_told(tmp_path: Path) -> None:
    async with place(tmp_path) as at:
        with pytest.raises(NotLoggedIn, match="the login was denied"):
            await at.log_in(lambda url: browse(f"{url}&as=no"))
        assert not (tmp_path / "state" / "logins").exists()


async def test_an_answer_with_another_state_is_not_taken_and_the_right_one_is(tmp_path: Path) -> None:
    async def answer(url: str) -> None:
        back = httpx2.URL(httpx2.URL(url).params["redirect_uri"])
        async with httpx2.AsyncClient(trust_env=False, timeout=60) as stranger:
            wrong = await stranger.get(back.copy_merge_params({"code": "mine", "state": "guessed"}))
            assert (wrong.status_code, "not to a question" in wrong.text) == (400, True)
            assert (await stranger.get(back.copy_with(path="/other"))).status_code == 404
        await browse(url)

    async with place(tmp_path) as at:
        await at.log_in(answer)
        assert at.login().tokens["access_token"]


async def test_an_answer_of_another_issuer_is_refused(tmp_path: Path) -> None:
    async def answer(url: str) -> None:
        asked = httpx2.URL(url).params
        answered = {"code": "x", "state": asked["state"], "iss": "https://evil.example"}
        async with httpx2.AsyncClient(trust_env=False, timeout=60) as browser:
            await browser.get(httpx2.URL(asked["redirect_uri"]).copy_merge_params(answered))

    async with place(tmp_path) as at:
        with pytest.raises(NotLoggedIn, match="iss"):
            await at.log_in(answer)
        assert at.books.of_grant("authorization_code") == []


async def test_nobody_is_waited_for_without_end(tmp_path: Path) -> None:
    async with place(tmp_path) as at:
        with pytest.raises(NotLoggedIn, match=r"nobody has logged in within 0\.2 s"):
            await log_in(at.logins.of("far", at.far.url), ANYBODY, lambda url: None, 0.2)


async def test_a_second_login_uses_the_registration_of_the_first(tmp_path: Path) -> None:
    async with place(tmp_path) as at:
        await at.log_in()
        await at.log_in()
        assert len(at.books.clients) == 1


@pytest.mark.parametrize(
    ("methods", "taken"), [(["none", "client_secret_post"], "client_secret_post"), ([], "client_secret_basic")]
)
async def test_a_client_that_is_known_there_is_not_registered(tmp_path: Path, methods: list[str], taken: str) -> None:
    async with place(tmp_path, Books(methods=methods)) as at:
        metadata = {"redirect_uris": ["*"], "token_endpoint_auth_method": taken}
        at.books.clients["ours"] = Client("ours", "s3cret-of-the-client", metadata)
        at.configure(oauth={"clientId": "ours", "clientSecret": "s3cret-of-the-client"})
        assert await at.log_in_by_program() == (0, "logged in at far\n")
        assert list(at.books.clients) == ["ours"]
        expire(at)
        async with fleet(at) as servers:
            assert await said(servers, "far.echo", text="hi") == "hi"
        in_form = at.books.of_grant("refresh_token")[0].get("client_secret")
        assert in_form == ("s3cret-of-the-client" if taken == "client_secret_post" else None)


async def test_a_server_that_wants_a_login_only_for_its_tools_gets_one(tmp_path: Path) -> None:
    """It lets everybody begin: what it answers to the first request says nothing yet."""
    async with place(tmp_path, let_in=2) as at:
        await at.log_in()
        assert at.login().tokens["access_token"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("login", "fra"), "there is no tool server 'fra' (did you mean \"far\"?)"),
        (("login", "here"), "is a program that is started here"),
        (("logout", "nobody"), "there is no tool server 'nobody'"),
    ],
)
async def test_what_cannot_have_a_login_is_told(tmp_path: Path, words: tuple[str, ...], expected: str) -> None:
    async with place(tmp_path) as at:
        status, told = await at.ended(*words)
        assert (status, expected in told) == (1, True), told


async def test_a_server_that_wants_no_login_and_one_that_is_not_there_are_told(tmp_path: Path) -> None:
    async with guarded() as open_to_all:
        at = Place(open_to_all, Books(), tmp_path)
        with pytest.raises(NotLoggedIn, match="it wants no login"):
            await at.log_in()
        at.configure(headers={"Authorization": "Bearer x"})
        assert "needs no login" in (await at.ended("login", "far"))[1]
    with pytest.raises(NotLoggedIn, match="ConnectError"):
        await at.log_in()


async def test_no_secret_of_a_login_is_in_the_log(tmp_path: Path) -> None:
    scrubber, lines = Scrubber(), io.StringIO()
    root = logging.getLogger()
    before = (root.handlers[:], root.level, logging.getLogger("woollama").level)
    configure("debug", scrubber=scrubber, stream=lines)
    root.setLevel(logging.DEBUG)
    logging.getLogger("authlib").setLevel(logging.CRITICAL)  # that is the other side
    try:
        async with place(tmp_path) as at:
            _, told = await at.log_in_by_program()
            expire(at)
            async with fleet(at, scrubber) as servers:
                await said(servers, "far.echo", text="hi")
                for token in at.books.tokens:
                    token.revoked = True
                await call(servers, "far.echo", text="hi")
                described = repr(servers) + repr(health(servers, "far")) + repr(at.login())
            for token in at.books.tokens:
                for secret in (token.access_token, token.refresh_token):
                    assert secret not in told + described
                    assert secret not in lines.getvalue()
    finally:
        root.handlers[:] = before[0]
        root.setLevel(before[1])
        logging.getLogger("woollama").setLevel(before[2])
