"""A login that a call wants in its middle: the host of the call shows its person the page, if it can open links.

Nobody is asked twice for the same, whatever the answer was and whatever has come of it, nor often for ever more: from
then on such a call fails with words about `woollama login`.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from woollama.domain.ids import new_id
from woollama.domain.messages import Json
from woollama.domain.peers import Host, PeerError
from woollama.domain.visible import visible
from woollama.platform import Unsafe
from woollama.toolservers.browser import NotLoggedIn
from woollama.toolservers.logging_in import log_in
from woollama.toolservers.logins import LoginFile, OwnClient

log = logging.getLogger("woollama.logins")

MOST_PAGES = 8
PATIENCE_S = 290.0
"""A host of the modern era is waited for a little longer than that."""


async def stepped_up(file: LoginFile | None, who: OwnClient, host: Host | None) -> bool:
    """Whether there is another login than when the call was refused."""
    if file is None or host is None or "url" not in (host.capabilities.get("elicitation") or {}):
        return False
    async with file.asking:
        if file.renewed:
            return True
        if file.wanted in file.asked_about or len(file.asked_about) >= MOST_PAGES:
            return False
        file.asked_about.add(file.wanted)
        return await _asked(file, who, host)


async def _asked(file: LoginFile, who: OwnClient, host: Host) -> bool:
    link = new_id("login_")
    shown: list[asyncio.Task[None]] = []

    async def show(url: str) -> None:
        asked: dict[str, Json] = {
            "mode": "url",
            "message": visible(f"{file.server}: {file.lack or 'it wants a login'}"),
            "url": url,
            "elicitationId": link,
        }
        try:
            said = await host.ask("elicitation/create", asked)
        except PeerError as error:
            log.info("the host of a call did not show the page of a login at %s: %s", file.server, error)
            said = {}
        if said.get("action") != "accept":
            logging_in.cancel()

    logging_in = asyncio.create_task(
        log_in(file, who, lambda url: shown.append(asyncio.create_task(show(url))), PATIENCE_S)
    )
    try:
        await asyncio.wait({logging_in})
    finally:
        for task in (logging_in, *shown):
            task.cancel()
        await asyncio.wait({logging_in, *shown})
    try:
        logging_in.result()
    except asyncio.CancelledError:
        return False
    except (NotLoggedIn, OSError, Unsafe) as error:
        log.warning("not logged in at %s: %s", file.server, error)
        return False
    log.info("logged in at %s", file.server)
    if host.session is not None:
        with suppress(PeerError):
            await host.session.followed(link)
    return True
