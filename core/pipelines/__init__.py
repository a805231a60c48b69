"""Extraction on the engines of others. They have environments of their own, and nothing else imports these modules."""
