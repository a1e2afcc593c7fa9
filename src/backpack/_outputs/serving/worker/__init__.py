"""What servers have in common in the streaming process."""
