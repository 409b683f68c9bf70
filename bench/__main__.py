"""`python -m bench PART [ARGUMENTS]`: what we measure, each part against others in one run."""

import sys

from bench import beside, compression, gateways, overhead, state, tool_calls

PARTS = {
    "beside": beside.main,
    "compression": compression.main,
    "gateways": gateways.main,
    "mcp": tool_calls.main,
    "overhead": overhead.main,
    "state": state.main,
}

if __name__ == "__main__":
    part, arguments = "gateways", sys.argv[1:]
    if arguments and not arguments[0].startswith("-"):
        part, *arguments = arguments
    if part not in PARTS:
        sys.exit(f"there is no part {part!r}; there are {', '.join(PARTS)}")
    sys.exit(PARTS[part](arguments))
