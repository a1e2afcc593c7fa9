"""KVS in the streaming process: the thread that drives the producer, over the network."""
