"""HTTP/1.1 over sockets of our own: what the uploads need of it."""
