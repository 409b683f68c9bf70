"""What an account has at Anthropic: agents, by name or id, and the environments in which their sessions run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from woollama.domain.errors import UnknownModel, UpstreamBroke, UpstreamRefused
from woollama.domain.messages import Json
from woollama.domain.turns import Target

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

_A_PAGE = 100
_ID_PREFIX = "agent_"
_NAMES_SHOWN = 12

Agent = Mapping[str, Json]


async def agents_of(client: AsyncAnthropic) -> Sequence[Agent]:
    """Those that are in use, as the API shows them."""
    try:
        return [agent.to_dict() async for agent in client.beta.agents.list(limit=_A_PAGE)]
    except (AttributeError, TypeError):  # all that the SDK makes of a page that is none
        raise UpstreamBroke("the agents are listed in an unknown shape") from None


async def agent_of(client: AsyncAnthropic, target: Target) -> Agent:
    """The agent that `target` names, by its id or by its name. Raises `UnknownModel`."""
    if target.model.startswith(_ID_PREFIX):
        return (await client.beta.agents.retrieve(target.model)).to_dict()
    agents = await agents_of(client)
    found = [agent for agent in agents if agent["name"] == target.model]
    if len(found) > 1:
        ids = ", ".join(f"{target.inferencer}/{agent['id']}" for agent in found)
        raise UnknownModel(f"{len(found)} agents are called {target.model!r}: name one by its id, {ids}", param="model")
    if not found:
        names = ", ".join(repr(agent["name"]) for agent in agents[:_NAMES_SHOWN]) or "none"
        raise UnknownModel(f"{target.inferencer} has no agent {target.model!r}; there is: {names}", param="model")
    return found[0]


async def environment_of(client: AsyncAnthropic, inferencer: str) -> str:
    """The account's only environment. Raises `UpstreamRefused` where there are more or none."""
    found: list[Any] = [each async for each in client.beta.environments.list(limit=_A_PAGE)]
    if len(found) == 1:
        return str(found[0].id)
    if not found:
        raise UpstreamRefused(
            f"{inferencer} has no environment for its agents to work in: make one in Anthropic's console",
            status=404,
            code="no_environment",
        )
    shown = ", ".join(f"{each.id} ({each.name})" for each in found[:_NAMES_SHOWN])
    raise UpstreamRefused(
        f"{inferencer} has {len(found)} environments, {shown}. This line in inferencers.toml says which one its agents"
        f' work in: extra_body = {{ environment_id = "{found[0].id}" }}',
        status=404,
        code="which_environment",
    )
