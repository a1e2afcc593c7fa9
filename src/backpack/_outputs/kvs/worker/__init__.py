"""Carry what the producer decides over the network, in the streaming process."""
