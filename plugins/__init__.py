"""The project's plugins: one file (or folder), one plugin. Each is found through the entry-point group `i2i_forge`."""
