"""The files that `woollama init` writes. A line that begins with `#` and no space is an example to be switched on."""

from __future__ import annotations

from collections.abc import Mapping

RECIPES = """\
# Recipes: a model with its words, its tools and its limits, under a name of your own. Ask for "woollama/<recipe>".
# What is written here is laid over the shipped recipes; `woollama recipe list` shows all of them, and
# `woollama recipe add` and `woollama alias add` write into this file without touching its comments.

[aliases]
# Who answers `woollama chat`, and whom programs reach that have a model's name built in.
#default = "woollama/reviewer"
#"gpt-4o" = "ollama/qwen3:14b"

#[recipes.reviewer]
#description = "Reads a change and says what could break"
#inferencer = "ollama/qwen3:14b"                 # or another recipe, as woollama/<recipe>
#fallbacks = ["anthropic/claude-haiku-4-5"]      # tried in order when the first cannot answer
#system = "You review code. Answer in {{language}}."
#tools = ["clock.now"]                           # the only tools that it may call, as globs over server.tool
#params = { temperature = 0.2 }
#
#[recipes.reviewer.variables.language]
#default = "English"
"""

MCP = """\
{
  // Tool servers, in the shape that Claude, Cursor and VS Code use. A server listed here is started with the daemon.
  // Secrets belong into environment variables: "${GITHUB_TOKEN}" takes the value of one.
  "mcpServers": {
    // "files": {
    //   "command": "npx",
    //   "args": ["-y", "@modelcontextprotocol/server-filesystem", "${userHome}/notes"]
    // },
    // "github": {
    //   "url": "https://api.githubcopilot.com/mcp/",
    //   "headers": {"Authorization": "Bearer ${GITHUB_TOKEN}"}
    // },
  },
}
"""

INFERENCERS = """\
# Who answers. This file is laid over the shipped inferencers key by key, so it only says what differs;
# `woollama config inferencers` shows all of them. Keys are never written here: api_key_env names the variable.

#[inferencers.ollama]
#base_url = "http://192.168.1.20:11434"

#[inferencers.mybox]                             # anything that speaks OpenAI's chat completions
#base_url = "http://127.0.0.1:9000/v1"
#api_key_env = "MYBOX_API_KEY"

#[inferencers.groq]
#disabled = true
"""

WOOLLAMA = """\
# The daemon itself. Each of these also has an environment variable; `woollama serve --help` lists them.

[server]
#address = "127.0.0.1:11435"
#allow_origins = ["http://localhost:3000"]       # web pages that may use this daemon
#shutdown_timeout = "10s"

[limits]
#body = "32MiB"
"""

STARTERS: Mapping[str, str] = {
    "recipes.toml": RECIPES,
    "mcp.json": MCP,
    "inferencers.toml": INFERENCERS,
    "woollama.toml": WOOLLAMA,
}
