"""Label maps in the formats of annotation tools, and back."""
