"""Components of this project: definitions that a folder of ``defs`` can declare in YAML alone."""
