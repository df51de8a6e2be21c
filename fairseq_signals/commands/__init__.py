"""The `fairseq-signals` command, one file a subcommand: arguments in, printed lines out."""
