"""Image files and their pixels: decoding, encoding, metadata, color, sizes."""
