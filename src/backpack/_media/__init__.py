"""What flows through the streaming process: frames, access units, and the hub for them."""
