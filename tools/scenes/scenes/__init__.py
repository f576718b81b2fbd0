"""Emoji scenes: drawn pictures with known contents, and the small models trained on them. See ../README.md."""
