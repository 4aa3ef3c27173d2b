"""The worker processes in which models live, and the words over the pipe between them and the rest of Limner."""
