"""What the commands that read the lake have in common: queries of Athena, their price, their errors."""
