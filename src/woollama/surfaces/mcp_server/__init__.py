"""Our MCP server, for hosts: `chat`, every tool of the tool servers, and recipes as prompts, in both eras of MCP.

`endpoint` and `offer` are light; the rest imports the MCP SDK (half a second) and is imported when the daemon listens.
"""
