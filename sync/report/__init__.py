"""The delivery report: numbers from the marts, charts, one page that needs nothing else."""
