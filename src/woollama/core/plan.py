"""What one turn will do: who may answer, with which words and settings, and what may be called.

Made once, before the first round, from the turn and the recipe that its model name stands for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from woollama.core.approved import Approved
from woollama.core.compressed import Compressed
from woollama.core.found_tools import FoundTools
from woollama.core.grants import Both, Tightened, globs_of
from woollama.core.names import Route
from woollama.core.policy import NO_POLICY, Policy
from woollama.core.prefixes import in_one_order
from woollama.core.recipes import Recipe, laid_over
from woollama.core.toolboxes import Filtered, NoTools, Paced, Validated, WithExamples
from woollama.domain import retrieve_tool
from woollama.domain.errors import Backpressure, BadRequest
from woollama.domain.events import CallOpened
from woollama.domain.messages import ToolResult
from woollama.domain.ports import Shrinker, Toolbox
from woollama.domain.tools import Function, Tool, ToolOutcome
from woollama.domain.turns import AUTO, Params, Target, ToolChoice, Turn
from woollama.domain.visits import Visit

DEFAULT_MAX_ROUNDS = 16
RETRY_AFTER_S = 5.0
DEFAULT_PARALLEL_TOOLS = 8
DEFAULT_TOOL_TIMEOUT_S = 120.0


NOBODY = Visit(NoTools(), ())
WhyNot = Callable[[str], ToolOutcome | None]
Absent = Callable[[str], tuple[Tool, ToolOutcome] | None]


def nothing_absent(name: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Plan:
    """`choice` is for the first round, `later_choice` for those after it: a forced call is forced once."""

    targets: tuple[Target, ...]
    system: str
    params: Params
    toolbox: Toolbox
    functions: tuple[Function, ...]
    choice: ToolChoice = AUTO
    later_choice: ToolChoice = AUTO
    max_rounds: int = DEFAULT_MAX_ROUNDS
    rewrites: tuple[str, ...] = ()
    hidden: tuple[Function, ...] = ()
    """What is not offered but may be called: a model that has found a tool often calls it by its own name."""
    why_not: WhyNot = nothing_absent
    """What is known of a tool that would be offered and cannot be called now."""

    def function(self, name: str) -> Function | None:
        return next((function for function in (*self.functions, *self.hidden) if function.name == name), None)

    def placed(self, call: CallOpened) -> CallOpened:
        """`call` with who runs it. A name that nobody offered is ours: the model must be told, and we can."""
        function = self.function(call.name)
        if function is None:
            return replace(call, runs="server")
        if function.tool is None:
            return replace(call, runs="client")
        return replace(call, runs="server", server=function.tool.server, tool=function.tool.name)


def plan_of(
    turn: Turn,
    route: Route,
    toolbox: Toolbox,
    policy: Policy = NO_POLICY,
    shrinker: Shrinker | None = None,
    visit: Visit = NOBODY,
    absent: Absent = nothing_absent,
) -> Plan:
    """`visit` has the tools of servers of the request's own, which no recipe's allow-list can mean. `absent` says why a
    tool is not in `toolbox` by now, by any of its names."""
    recipe = route.recipe
    granted = _granted(turn, toolbox, policy, visit)
    allowed_globs = [*(recipe.tools if recipe else ()), *(f"{grant.server}.*" for grant in turn.tool_grants)]

    def why_not(name: str) -> ToolOutcome | None:
        """Of what this turn may not use in any case, nothing is said."""
        match absent(name):
            case (tool, outcome) if any(fnmatchcase(tool.qualified, glob) for glob in allowed_globs):
                may = turn.caller.scope.allows_tool([tool.qualified]) and not policy.denies(tool)
                return outcome if may else None
        return None

    if recipe is None:
        return Plan(
            route.targets,
            "",
            turn.params,
            granted,
            _offered(turn, granted.functions()),
            turn.choice or AUTO,
            _without_force(turn.choice),
            rewrites=tuple(_unused(turn.variables)),
            why_not=why_not,
        )
    # A call that waits for a yes takes nobody's place, so people are asked outside of `Paced`.
    paced = Paced(toolbox, recipe.max_parallel_tools, recipe.tool_timeout_s)
    in_scope = Filtered(Validated(Approved(paced, policy, recipe)), turn.caller.scope.tools)
    allowed: Toolbox = WithExamples(Filtered(in_scope, recipe.tools), recipe.examples)
    if turn.tool_grants:
        allowed = Both(allowed, granted)
    if shrinker is not None and recipe.compress != "off":
        allowed = Validated(Compressed(allowed, shrinker, recipe.compress, turn.items, recipe.name))
    always = (recipe.tool_choice, retrieve_tool.WIRE_NAME)
    found = FoundTools(allowed, recipe.tools_budget_tokens, always, why_not)
    functions = _offered(turn, found.functions())
    choice = turn.choice or _choice_of(recipe, functions, why_not)
    if turn.choice is None and turn.items and isinstance(turn.items[-1], ToolResult):
        choice = _without_force(choice)  # it was forced in the turn that this one goes on with
    return Plan(
        targets=route.targets,
        system=recipe.render(turn.variables),
        params=laid_over(recipe.params, turn.params, recipe.locked),
        toolbox=found,
        functions=functions,
        hidden=found.hidden,
        why_not=why_not,
        choice=choice,
        later_choice=_without_force(choice),
        max_rounds=recipe.max_turns,
        rewrites=(*_locked_out(recipe, turn.params), *_unused(turn.variables, recipe.variable_names)),
    )


def _unused(variables: Mapping[str, str], names: Collection[str] = ()) -> Iterator[str]:
    """That no word of a recipe is what these would fill in."""
    if unused := sorted(set(variables) - set(names)):
        yield f"variables were left out: {', '.join(unused)}"


def _granted(turn: Turn, toolbox: Toolbox, policy: Policy, visit: Visit) -> Toolbox:
    """What the request itself asks for. The owner's policy holds, and no recipe's allow-list is a yes to it."""
    if not turn.tool_grants:
        return NoTools()
    toolbox = Both(toolbox, visit.toolbox)
    globs = globs_of(turn.tool_grants, toolbox.functions(), [each.server for each in visit.servers])
    paced = Paced(toolbox, DEFAULT_PARALLEL_TOOLS, DEFAULT_TOOL_TIMEOUT_S)
    asked = Approved(paced, Tightened(policy, turn.tool_grants))
    return Filtered(Filtered(Validated(asked), turn.caller.scope.tools), globs)


def _offered(turn: Turn, ours: Sequence[Function]) -> tuple[Function, ...]:
    names = {function.name for function in ours}
    for function in turn.client_tools:
        if function.name in names:
            raise BadRequest(
                f"the tool {function.name!r} is also one of the tools that run here: rename yours", param="tools"
            )
    return (*in_one_order(ours), *turn.client_tools)


def _choice_of(recipe: Recipe, functions: Sequence[Function], why_not: WhyNot) -> ToolChoice:
    """A recipe that must call a tool is not answered without one: its servers may be starting, or down."""
    wanted = recipe.tool_choice
    if wanted in ("auto", "none"):
        return ToolChoice("none" if wanted == "none" else "auto")
    if wanted == "required" and functions:
        return ToolChoice("required")
    named = next((each for each in functions if wanted in (each.name, each.tool and each.tool.qualified)), None)
    if named is None:
        what = "a tool, and none of its tools" if wanted == "required" else f"the tool {wanted!r}, which"
        known = (why_not(name) for name in (recipe.tools if wanted == "required" else (wanted,)))
        why = next((f": {outcome.for_model()}" for outcome in known if outcome is not None), "")
        raise Backpressure(f"recipe {recipe.name!r} must call {what} is there now{why}", retry_after=RETRY_AFTER_S)
    return ToolChoice("named", named.name)


def _without_force(choice: ToolChoice | None) -> ToolChoice:
    return choice if choice is not None and choice.mode == "none" else AUTO


def _locked_out(recipe: Recipe, wished: Params) -> Iterator[str]:
    for name, value in wished.given():
        if name in recipe.locked and value != getattr(recipe.params, name):
            yield f"{name} is locked by the recipe {recipe.name!r}"
