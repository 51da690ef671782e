import torch

# The networks here are so small that a second thread costs more than it gives.
torch.set_num_threads(1)
