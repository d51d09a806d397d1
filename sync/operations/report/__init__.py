"""The delivery report: figures from the marts, charts, one self-contained page."""
