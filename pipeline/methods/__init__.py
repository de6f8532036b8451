"""How photos are stylized: each method with its options and its files."""
