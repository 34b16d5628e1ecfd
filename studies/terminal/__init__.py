"""What people see of a running command, and the options that commands share."""
