"""Floor 1: the judgement. Pure: takes time, randomness and bytes as arguments."""
