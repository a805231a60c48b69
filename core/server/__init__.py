"""What the dashboard's server and the API alone share: limits on what requests may take, and which hosts are answered."""
