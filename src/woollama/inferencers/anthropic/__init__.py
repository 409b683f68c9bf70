"""Inferencers that speak Messages."""

from woollama.inferencers.anthropic.inferencer import AnthropicInferencer

__all__ = ["AnthropicInferencer"]
