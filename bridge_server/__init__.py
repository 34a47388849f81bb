"""The terminal's side: verifies, judges, journals, executes."""
