"""What each command does with its parsed arguments; each function returns its exit code."""
