"""Tool calling for models that have none: the call is decided by output that a JSON Schema constrains."""

from woollama.inferencers.emulated_tools.inferencer import EmulatedTools

__all__ = ["EmulatedTools"]
