"""The command `ztb`. Each subcommand is imported only when it runs."""
