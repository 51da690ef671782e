"""What people look at: the report's page, the summary, pictures and tables."""
