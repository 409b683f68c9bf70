"""Tool servers: other people's MCP servers, of which we are the client."""
