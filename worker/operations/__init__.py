"""What an operator orders beside live workers: replay and purge."""
