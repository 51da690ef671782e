"""Generated images: the demo's creatures, and the pretext set."""
