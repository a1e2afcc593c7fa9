"""The page's server, in the streaming process."""
