"""The upload front: what happens to objects of the uploads bucket becomes items of the jobs table."""
