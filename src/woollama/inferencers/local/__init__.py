"""Models that run on this machine, each in a process of its own."""

from woollama.inferencers.local.inferencer import LocalInferencer

__all__ = ["LocalInferencer"]
