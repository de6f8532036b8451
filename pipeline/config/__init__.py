"""The config: its types, reading it, and saying what is wrong and where."""
