"""Components of this project: what a folder of ``defs`` can be made of by YAML alone."""
