"""How the two processes talk: messages, shared memory, and the start of the streaming process."""
