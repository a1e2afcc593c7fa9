"""What flows through the streaming process: pictures, access units, and the hub that carries them."""
