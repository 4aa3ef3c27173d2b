"""Thinks and paints: the engine of Limner. Knows no Qt, no screen and nothing of `desktop`."""
