"""Bank files from SFTP servers: archived, parsed, published whole or not at all."""
