"""The hospital's own files: how they are written, read and prepared."""
