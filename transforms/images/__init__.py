"""Image files and pixels: decoding, encoding, metadata, color, resizing."""
