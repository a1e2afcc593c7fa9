"""Give the library a command line: ``spyglass serve``, ``demo`` and ``doctor``."""
