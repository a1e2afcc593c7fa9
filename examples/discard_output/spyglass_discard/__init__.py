"""An output that counts the video and throws it away: the least that an output needs."""
