"""Floor 2: the doors to files, sockets and clocks that both sides need, written once."""
