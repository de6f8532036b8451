"""The exit codes of the command."""

DONE = 0
"""Everything is done."""
FAILED = 1
"""The run failed, or was stopped early."""
USAGE = 2
"""The command or the config is wrong."""
SOME_FAILED = 3
"""The run finished, and some images failed."""
LEASE_HELD = 4
"""Another run is writing to an output folder; nothing was started."""
