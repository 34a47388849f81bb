"""The judgement that both sides share: pure pre-trade checks and the money they need."""
