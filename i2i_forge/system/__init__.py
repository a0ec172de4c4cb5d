"""The machine below: files and locks, downloads and archives, seeds, number formats, ranks."""
