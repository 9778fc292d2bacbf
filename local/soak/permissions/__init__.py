"""Permissions of the stack's roles taken away, one at a time, on the deployed application."""
