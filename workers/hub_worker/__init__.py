"""The worker program: takes jobs from a FIFO queue, one at a time, and commits the effect of each once."""
