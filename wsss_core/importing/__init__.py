"""Other people's weights, turned into files of this project."""
