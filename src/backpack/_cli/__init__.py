"""The command line: ``spyglass serve``, ``demo`` and ``doctor``."""
