"""Runs: planning, running and progress; estimates, previews and sweeps."""
