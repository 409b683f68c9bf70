"""Inferencers that speak chat completions: most of them."""

from woollama.inferencers.openai.inferencer import OpenAIInferencer

__all__ = ["OpenAIInferencer"]
