"""What all inferencers over HTTP share: where they are, what they refuse, and the relay's way out."""
