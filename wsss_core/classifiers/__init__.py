"""Stage `classifier`: networks that learn from image-level labels."""
