"""The steps of the Beam pipeline, and running it."""
