"""What the product does with connections: connect, import, rename, disconnect."""
