"""The commands: each function receives the parsed arguments and returns the exit code."""
