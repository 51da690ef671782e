"""From class maps to one label per pixel: CRF, affinities, random walk."""
