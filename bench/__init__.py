"""What the way through woollama costs, measured against the same request without it."""
