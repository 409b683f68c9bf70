"""Agents that Anthropic hosts: they run their own loop, in a sandbox there, and are asked by events of a session."""

from woollama.inferencers.managed_agents.inferencer import ManagedAgentsInferencer

__all__ = ["ManagedAgentsInferencer"]
