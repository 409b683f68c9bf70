"""Child processes of which nothing is left behind, however the daemon ends."""
