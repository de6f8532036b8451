"""An archive: its inputs, its outputs, and the records of what became of each image."""
