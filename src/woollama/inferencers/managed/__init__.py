"""Models behind a process that woollama starts when they are asked and stops when nobody has asked for a while."""
