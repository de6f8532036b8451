"""A soak test: a seeded storm of faults over runs of the command, with an independent checker."""
