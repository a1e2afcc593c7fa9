"""HTTP/1.1 by asyncio and h11: what the uploads need of it."""
