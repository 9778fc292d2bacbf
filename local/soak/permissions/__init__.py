"""Every permission of every role of the stack taken away, one at a time, on the deployed application."""
