"""HTTP towards inferencers and tool servers: a client of our own, and how its answers are cut into pieces."""
