"""The dbt models: the number, and the views of the deliveries."""
