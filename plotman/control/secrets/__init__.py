"""`plotman farm secrets`: passwords, rights and certificates that limit each machine to its own work."""
