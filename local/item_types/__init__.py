"""What follows from the declared item types outside of the functions: the section of the template with the
consumers of each, the partitions of the lake's table, and their part of the runbook."""
