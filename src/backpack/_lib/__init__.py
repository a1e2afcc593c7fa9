"""Helpers that know nothing of SpyGlass: used in the application and in the streaming process."""
