"""Floor 0: the contract. Pure: no socket, clock, file, thread or random number in here."""
