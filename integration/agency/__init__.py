"""What an agency uses: its credentials, its connection, its subscription."""
