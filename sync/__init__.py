"""The message: detects completions in the warehouse and delivers their webhooks."""
