"""The parent process: claims folders, starts workers, follows them to their end."""
