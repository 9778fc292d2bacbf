"""Erasing one patient from every bucket of a hub: found, left out or blanked, and searched for again."""
