"""What both sides share: `protocol` (pure) and `host` (the doors both need)."""
