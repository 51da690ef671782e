"""What people look at: the summary and the overview picture."""
