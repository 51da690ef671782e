"""Files on disk: atomic writes, progress of killed jobs, and the HDF5 formats."""
