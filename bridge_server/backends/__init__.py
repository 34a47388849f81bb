"""Floor 2: one door per platform."""
