"""What woollamas say to each other, so that one that uses another never comes back to itself.

A name has at most two levels: to another woollama we show the tools of our own servers, and not those that we have from
a third one. So no tool is seen twice however they use each other, and a change is told on once.
"""

from __future__ import annotations

NAME = "woollama"
"""How a woollama is called, as a host and as a server."""
INSTANCE_KEY = "io.woollama/instance"
"""In `_meta`: which one connects. The same one is not served."""
HOPS_KEY = "io.woollama/hops"
"""In `_meta` of a call: how many woollamas it went through."""
MOST_HOPS = 4
