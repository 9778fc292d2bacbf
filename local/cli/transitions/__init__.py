"""What the function that detects transitions failed on for good, and a way to give it that again."""
