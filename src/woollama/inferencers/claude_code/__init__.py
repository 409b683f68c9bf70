"""The `claude` command line as a model: asked in print mode, over pipes, with our tools as its only ones."""

from woollama.inferencers.claude_code.inferencer import ClaudeCodeInferencer

__all__ = ["ClaudeCodeInferencer"]
