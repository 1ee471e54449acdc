"""What a worker does beside applying, at its start and every now and then."""
