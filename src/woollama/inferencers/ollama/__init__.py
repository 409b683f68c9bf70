"""Ollama in its own words."""

from woollama.inferencers.ollama.inferencer import OllamaInferencer

__all__ = ["OllamaInferencer"]
