"""The steps of the Beam pipeline, and what runs in its workers."""
