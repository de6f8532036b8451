"""Configs: their types, reading them, and reporting mistakes with their lines."""
