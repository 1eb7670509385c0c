"""What several tests share: toy networks, slow references, runs in processes of their own, files to serve."""
