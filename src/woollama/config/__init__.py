"""Configuration: the files, what they may say, and everything that is wrong with them."""

from woollama.config.load import Loaded, load
from woollama.config.model import Config
from woollama.config.problems import Problem

__all__ = ["Config", "Loaded", "Problem", "load"]
