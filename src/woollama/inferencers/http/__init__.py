"""HTTP towards inferencers: a client of our own, framing, and the relay's way out."""
