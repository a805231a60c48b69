"""Images from outside: decoded in processes of their own, downloaded, checked."""
