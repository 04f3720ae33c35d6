"""The command ``ailab``."""
