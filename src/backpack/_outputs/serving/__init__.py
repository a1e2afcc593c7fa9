"""What servers that listen have in common, as the application holds them."""
