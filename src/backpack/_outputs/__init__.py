"""Outputs: one room each, with what the application makes, and the worker side of it."""
