"""The local engine's service side."""
