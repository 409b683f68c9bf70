"""Models that run on this machine, each in a process of its own. The command line reads `weights` alone."""
