"""The page: what the application makes."""
